//! Being interrupted (Ctrl-C) where something is to be taken back before the program ends.

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::Result;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// From when it is made, an interruption does not end the program.
pub struct Interrupt(SignalFd);

impl Interrupt {
    /// Catches interruptions. To be called before there is a second thread.
    ///
    /// # Errors
    /// When the kernel does not do so.
    pub fn catch() -> Result<Self> {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK)?))
    }

    /// Waits for so long; whether somebody interrupts it meanwhile.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn is_within(&self, time: Duration) -> Result<bool> {
        let patience = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], patience)?;
        Ok(self.0.read_signal()?.is_some())
    }
}
