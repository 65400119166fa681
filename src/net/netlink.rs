//! A question to the kernel about its network, and its answer (netlink(7)).

use anyhow::{Context, Result, bail};
use netlink_packet_core::{
    NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

/// Where the type of a message stands in its header (netlink(7), struct nlmsghdr).
const TYPE: std::ops::Range<usize> = 4..6;

/// Messages begin at multiples of so many bytes.
const ALIGNMENT: usize = 4;

/// The kernel answers at once: who waits for longer, in seconds, waits for a packet that was lost.
const PATIENCE: i64 = 2;

/// How often a list is read anew that has changed while it was read.
const TRIES: usize = 5;

/// A connection to one of the kernel's families, such as `NETLINK_ROUTE`.
pub struct Netlink(Socket);

/// Why the kernel did not do what it was asked for.
#[derive(Debug)]
pub struct Refusal(std::io::Error);

impl Refusal {
    /// The kernel's number (errno(3)).
    pub fn number(&self) -> i32 {
        self.0.raw_os_error().unwrap_or_default()
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the kernel refuses it: {}", self.0)
    }
}

impl std::error::Error for Refusal {}

impl Netlink {
    /// Connects to this family.
    ///
    /// # Errors
    /// When the kernel has none.
    pub fn open(family: isize) -> Result<Self> {
        let mut socket = Socket::new(family).context("cannot ask the kernel about its network")?;
        let patience = TimeVal::seconds(PATIENCE);
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience).context("cannot limit the time of an answer")?;
        socket.bind_auto().context("cannot ask the kernel about its network")?;
        socket.connect(&SocketAddr::new(0, 0)).context("cannot ask the kernel about its network")?;
        Ok(Self(socket))
    }

    /// Asks, and returns what it answers until it says that it is done. `kind`: the message's type, where that is not the
    /// one that goes with its content.
    ///
    /// # Errors
    /// A [`Refusal`], or that the answer cannot be read.
    pub fn ask<T>(&self, question: T, flags: u16, kind: Option<u16>) -> Result<Vec<T>>
    where
        T: NetlinkSerializable + NetlinkDeserializable,
    {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        if let Some(kind) = kind {
            bytes[TYPE].copy_from_slice(&kind.to_ne_bytes());
        }
        for _ in 0..TRIES {
            self.0.send(&bytes, 0).context("cannot ask the kernel about its network")?;
            let (mut answers, mut is_whole, mut is_last) = (Vec::new(), true, false);
            while !is_last {
                let (bytes, _) = self.0.recv_from_full().context("the kernel does not answer about its network")?;
                is_last = read(&bytes, &mut answers, &mut is_whole)?;
            }
            if is_whole {
                return Ok(answers);
            }
        }
        bail!("the network changes too fast to be read")
    }
}

/// Reads one packet; whether it was the last one. `is_whole`: nothing has changed while it was listed.
fn read<T: NetlinkDeserializable>(bytes: &[u8], answers: &mut Vec<T>, is_whole: &mut bool) -> Result<bool> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let message = NetlinkMessage::<T>::deserialize(rest).context("the kernel's answer cannot be read")?;
        *is_whole &= message.header.flags & NLM_F_DUMP_INTR == 0;
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(error) if error.code.is_none() => return Ok(true),
            NetlinkPayload::Error(error) => return Err(Refusal(error.to_io()).into()),
            NetlinkPayload::InnerMessage(answer) => answers.push(answer),
            NetlinkPayload::Overrun(_) => bail!("the kernel's answer was cut"),
            _ => {}
        }
        let length = usize::try_from(message.header.length)?.next_multiple_of(ALIGNMENT);
        rest = rest.get(length.max(ALIGNMENT)..).unwrap_or_default();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::NLM_F_DUMP;
    use netlink_packet_route::RouteNetlinkMessage;
    use netlink_packet_route::address::AddressMessage;
    use netlink_sys::protocols::NETLINK_ROUTE;

    #[test]
    fn the_kernel_answers_with_the_loopback_address() {
        let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answers = Netlink::open(NETLINK_ROUTE).expect("there").ask(question, NLM_F_DUMP, None).expect("answered");
        assert!(answers.iter().all(|answer| matches!(answer, RouteNetlinkMessage::NewAddress(_))));
    }
}
