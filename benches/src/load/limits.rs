//! What the system lets one process hold open. Raises the soft limit as far as it may; never the hard one.

use std::io;

/// Open files besides sockets: standard streams, polls, the line, results.
const OTHERS: u64 = 64;

/// Makes room for `sockets` open sockets.
///
/// # Errors
/// The hard limit is lower; the text says what to do.
pub fn make_room(sockets: usize) -> io::Result<()> {
    let need = sockets as u64 + OTHERS;
    let (soft, hard) = rlimit::Resource::NOFILE.get()?;
    if soft >= need {
        return Ok(());
    }
    if hard < need {
        return Err(io::Error::other(refusal(need, hard)));
    }
    rlimit::Resource::NOFILE.set(need, hard)
}

fn refusal(need: u64, hard: u64) -> String {
    format!(
        "this many clients need {need} open files and this process may have {hard}: raise the limit (`ulimit -n {need}` as \
         root, or LimitNOFILE= of its service), or ask for fewer with --clients"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_and_the_hard_one_is_told() {
        let (soft, hard) = rlimit::Resource::NOFILE.get().unwrap();
        assert!(make_room(10).is_ok());
        if let Ok(sockets) = usize::try_from(hard)
            && let Some(too_many) = sockets.checked_add(1)
        {
            let error = make_room(too_many).unwrap_err().to_string();
            assert!(error.contains("ulimit -n") && error.contains("--clients"), "{error}");
        }
        let now = rlimit::Resource::NOFILE.get().unwrap();
        assert!(now.0 >= soft && now.1 == hard);
    }
}
