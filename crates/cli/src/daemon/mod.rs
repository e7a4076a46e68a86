//! What the commands have in common that serve until they are stopped: their
//! log, and their end.

pub(crate) mod log;
pub(crate) mod stop;
