//! The target that must fail.

/// Fails on five bytes in a row: one in a million million inputs, unless the engine sees how far each came.
pub fn canary(data: &[u8]) {
    if let [b'B', b'I', b'S', b'T', b'!', ..] = data {
        panic!("the canary was found, as it must be");
    }
}
