//! What is said over a connection while one node sends its data to another: pieces of them, a sign of life while there is
//! nothing to send, and at the end that all was sent, or why not. A connection that just ends has not sent all.

use std::io::{self, Read, Write};

/// The largest piece.
pub const PIECE: usize = 256 * 1024;

/// In place of a piece's length.
mod word {
    pub const END: u32 = 0;
    pub const FAILED: u32 = u32::MAX;
    pub const ALIVE: u32 = u32::MAX - 1;
}

/// What was received.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A piece of the data.
    Piece(Vec<u8>),
    /// The other side lives, and has nothing to send yet.
    Alive,
    /// That was all.
    End,
    /// There is no more, for this reason.
    Failed(String),
}

impl Frame {
    /// Sends it.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&self, stream: &mut impl Write) -> io::Result<()> {
        let number = |length: usize| u32::try_from(length).map_err(io::Error::other);
        match self {
            Self::Piece(bytes) => {
                stream.write_all(&number(bytes.len())?.to_be_bytes())?;
                stream.write_all(bytes)
            }
            Self::Alive => stream.write_all(&word::ALIVE.to_be_bytes()),
            Self::End => stream.write_all(&word::END.to_be_bytes()),
            Self::Failed(why) => {
                let why: String = why.chars().take(PIECE / 8).collect();
                stream.write_all(&word::FAILED.to_be_bytes())?;
                stream.write_all(&number(why.len())?.to_be_bytes())?;
                stream.write_all(why.as_bytes())
            }
        }?;
        stream.flush()
    }

    /// Receives the next one.
    ///
    /// # Errors
    /// When the connection is cut, or says something else.
    pub fn receive(stream: &mut impl Read) -> io::Result<Self> {
        match number(stream)? {
            word::END => Ok(Self::End),
            word::ALIVE => Ok(Self::Alive),
            word::FAILED => {
                let length = number(stream)?;
                bytes(stream, length).map(|text| Self::Failed(String::from_utf8_lossy(&text).into_owned()))
            }
            length => bytes(stream, length).map(Self::Piece),
        }
    }
}

fn number(stream: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn bytes(stream: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    if length > PIECE {
        return Err(io::Error::other(format!("a piece of {length} bytes is not possible")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_received_and_a_cut_is_no_end() {
        let frames = [
            Frame::Piece(vec![0; PIECE]),
            Frame::Alive,
            Frame::Piece(vec![1]),
            Frame::Failed("the disk".into()),
            Frame::End,
        ];
        let mut wire = Vec::new();
        frames.iter().for_each(|frame| frame.send(&mut wire).expect("sent"));
        let mut stream = wire.as_slice();
        for frame in &frames {
            assert_eq!(&Frame::receive(&mut stream).expect("received"), frame);
        }
        assert!(Frame::receive(&mut stream).is_err());
        assert!(Frame::receive(&mut &wire[..PIECE]).is_err());
    }

    #[test]
    fn a_length_that_makes_no_sense_is_refused_before_anything_is_kept() {
        let wire = u32::try_from(PIECE + 1).expect("small").to_be_bytes();
        assert!(Frame::receive(&mut wire.as_slice()).is_err());
    }
}
