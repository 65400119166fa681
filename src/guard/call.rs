//! A word to a guard: there is something to do now, and not at its next look. It is not waited for, so that an action on
//! the path of a failover returns at once.

use std::io::{ErrorKind, Result};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

/// How long it is listened until whoever listens may look after something else.
const LISTENING: Duration = Duration::from_secs(1);

/// Where a guard hears.
pub struct Ear(UnixDatagram);

impl Ear {
    /// Listens at `path`, in place of an earlier guard.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn at(path: &Path) -> Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixDatagram::bind(path)?;
        socket.set_read_timeout(Some(LISTENING))?;
        Ok(Self(socket))
    }

    /// Waits a while for a call; whether there was one.
    ///
    /// # Errors
    /// When the socket cannot be read.
    pub fn listen(&self) -> Result<bool> {
        match self.0.recv(&mut [0]) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Calls whoever listens at `path`; whether somebody does, and has not let earlier calls pile up.
pub fn call(path: &Path) -> bool {
    let called = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(&[1], path)
    });
    called.inspect_err(|error| log::debug!("nobody hears at {}: {error}", path.display())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_heard_by_whoever_listens_and_not_where_nobody_does() {
        let path = std::env::temp_dir().join(format!("rustha-ear-{}", std::process::id()));
        assert!(!call(&path), "nobody is there");
        drop(Ear::at(&path).expect("bound"));
        assert!(!call(&path), "who listened has gone, and left the socket");
        let ear = Ear::at(&path).expect("bound in its place");
        assert!(call(&path) && ear.listen().expect("readable"));
        assert!(!ear.listen().expect("readable"), "there was one call");
        let most = std::iter::repeat_with(|| call(&path)).take(10_000).take_while(|heard| *heard).count();
        assert!(most < 10_000, "one that does not listen is not called for ever");
        std::fs::remove_file(path).expect("removed");
    }
}
