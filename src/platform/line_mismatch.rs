//! Whether the lines of the feed say the same: told by health while a session is in force in which they did not.
//!
//! Reads a counter alone; knows neither the messages nor which line is right. The log tells it from the day log.

use std::sync::Arc;

use api::Verdict;
use feed_handler::feed::FeedMetrics;

/// What an operator can do.
const REMEDY: &str = "find out which line is wrong (bist_feed_line_mismatch_total) and take it out of feed.lines; a new \
                      session begins with right books";

/// For health: books that may be wrong are shown, and marked.
pub fn verdict(feed: &Arc<FeedMetrics>) -> Verdict {
    words(feed.line_mismatches())
}

fn words(mismatches: u64) -> Verdict {
    match mismatches {
        0 => Verdict::Up("the lines say the same".to_owned()),
        messages => Verdict::Degraded(format!(
            "lines said different things of {messages} messages of this session, and every book may be wrong; {REMEDY}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f6_lines_that_contradict_each_other_degrade_health_and_name_the_key() {
        assert!(matches!(words(0), Verdict::Up(_)));
        let Verdict::Degraded(words) = words(3) else { panic!("books that may be wrong are no good state") };
        assert!(words.contains("3 messages") && words.contains("feed.lines"), "{words}");
    }
}
