//! One way to fill the head that all records share. For decoders; no behaviour.

/// A slot from a record of [`book::slot`]: `record!(stamp, side, Name, rtype, flags, { field: value, ... })`.
macro_rules! record {
    ($stamp:expr, $side:expr, $name:ident, $rtype:expr, $flags:expr, { $($field:ident : $value:expr),* $(,)? }) => {
        ::book::Slot::from(::book::slot::$name {
            length: 16,
            rtype: $rtype,
            flags: $flags,
            side: $side as u8,
            book_id: $stamp.book_id.0,
            exchange_ns: $stamp.exchange_ns,
            seq: 0,
            received_ns: $stamp.received_ns,
            $($field: $value,)*
        })
    };
}
pub(crate) use record;
