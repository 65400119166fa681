//! One more client, for what the ledger's writers never do: a transaction that is left open, a statement that runs for
//! long, a commit whose outcome a scenario must know. It says one statement after the other on one connection, in the
//! background, and never connects again: what became of the connection is what it is asked for.

use std::net::IpAddr;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mysql::prelude::Queryable;

use super::failure::FailureKind;
use super::options::Options;
use super::session::{Peer, enter_netns};

/// Longer than anything that a scenario waits for: who waits for an answer has a time of its own.
const PATIENCE: Duration = Duration::from_secs(600);

/// What has its usual time: connecting, and a statement that waits for nobody.
const USUAL: Duration = Duration::from_secs(60);

/// A connection. Dropping it lets the statement under way go on; the connection ends after it.
#[derive(Debug)]
pub struct Client {
    orders: Sender<Order>,
}

/// What came, or will come, of a statement.
#[derive(Debug)]
pub struct Answer {
    arrival: Receiver<Result<(), FailureKind>>,
    statement: String,
}

#[derive(Debug)]
struct Order {
    statement: String,
    answer: SyncSender<Result<(), FailureKind>>,
}

impl Client {
    /// Connects with the ledger's account, from the client's network, to this address.
    ///
    /// # Errors
    /// If there is nobody, or the account is refused.
    pub fn connect(options: &Options, address: IpAddr) -> Result<Client> {
        let peer = Peer {
            address,
            port: options.port,
            account: options.app.clone(),
            connect_timeout: USUAL,
            answer_timeout: PATIENCE,
        };
        let netns = options.client.clone();
        let (orders, received) = mpsc::channel();
        let (connected, is_connected) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("client".into());
        thread.spawn(move || serve(&netns, &peer, &connected, &received)).context("start a thread")?;
        is_connected.recv_timeout(USUAL).context("a client did not connect in time")??;
        Ok(Client { orders })
    }

    /// Says a statement; what comes of it is to be waited for.
    pub fn say(&self, statement: &str) -> Answer {
        let (answer, arrival) = mpsc::sync_channel(1);
        let order = Order { statement: statement.to_owned(), answer };
        // A thread that has ended drops the order, and the answer says so.
        let _ = self.orders.send(order);
        Answer { arrival, statement: statement.to_owned() }
    }

    /// Says a statement that must succeed, soon.
    ///
    /// # Errors
    /// What the server said, or that it said nothing in time.
    pub fn run(&self, statement: &str) -> Result<()> {
        match self.say(statement).wait(USUAL)? {
            Ok(()) => Ok(()),
            Err(kind) => bail!("a client's `{statement}`: {kind}"),
        }
    }
}

impl Answer {
    /// What came of the statement.
    ///
    /// # Errors
    /// If there is no answer within that time.
    pub fn wait(&self, time: Duration) -> Result<Result<(), FailureKind>> {
        match self.arrival.recv_timeout(time) {
            Ok(outcome) => Ok(outcome),
            Err(RecvTimeoutError::Timeout) => bail!("no answer to a client's `{}` within {time:?}", self.statement),
            Err(RecvTimeoutError::Disconnected) => bail!("the client of `{}` has ended", self.statement),
        }
    }
}

fn serve(netns: &Path, peer: &Peer, connected: &SyncSender<Result<()>>, orders: &Receiver<Order>) {
    let connect = || -> Result<mysql::Conn> {
        enter_netns(netns)?;
        peer.connect().map_err(|kind| anyhow::anyhow!("a client cannot connect: {kind}"))
    };
    let mut conn = match connect() {
        Ok(conn) => conn,
        Err(error) => {
            let _ = connected.send(Err(error));
            return;
        }
    };
    // The other side waits for exactly this, and for the answers as long as it likes.
    let _ = connected.send(Ok(()));
    for order in orders {
        let outcome = conn.query_drop(&order.statement).map_err(|error| FailureKind::from(&error));
        let _ = order.answer.send(outcome);
    }
}
