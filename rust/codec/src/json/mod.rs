//! JSON text to values and back, exact: integers beyond i64 cross as text, nothing is rounded but a float's last digit.
//!
//! Reading follows RFC 8259 to the letter: no comments, no byte order mark, no NaN, no lone surrogates, nothing after
//! the document. Of two fields with one name the last wins, as in most readers. A number with a point or an exponent
//! is the nearest float; one that overflows is refused. At most 127 levels, and at most 4,300 digits before a point.

mod decode;
mod encode;
mod project;
mod reader;

pub use decode::decode;
pub use encode::encode;
pub use project::project;
