//! What an agent is: a name, texts, parameters, actions, and one function that runs an action.

use std::time::Duration;

use super::env::Invocation;
use super::exit::Outcome;
use super::params::Parameter;

/// The actions that an OCF agent may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum Action {
    MetaData,
    ValidateAll,
    Start,
    Stop,
    Monitor,
    Promote,
    Demote,
    Notify,
    ReloadAgent,
}

impl Action {
    /// The name as in the specification and in argv.
    pub fn name(self) -> &'static str {
        match self {
            Self::MetaData => "meta-data",
            Self::ValidateAll => "validate-all",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Monitor => "monitor",
            Self::Promote => "promote",
            Self::Demote => "demote",
            Self::Notify => "notify",
            Self::ReloadAgent => "reload-agent",
        }
    }
}

/// An action as the meta-data advertises it.
#[derive(Clone, Copy, Debug)]
pub struct Advertised {
    /// Which.
    pub action: Action,
    /// The role that a recurring monitor is for.
    pub role: Option<&'static str>,
    /// The least time that it should be given; also what it takes for granted when nobody says a timeout.
    pub timeout: Duration,
    /// How often it recurs.
    pub interval: Option<Duration>,
    /// The check level.
    pub depth: Option<u32>,
}

impl Advertised {
    /// An action that does not recur.
    pub const fn new(action: Action, timeout_seconds: u64) -> Self {
        Self { action, role: None, timeout: Duration::from_secs(timeout_seconds), interval: None, depth: None }
    }

    /// The monitor of a role.
    pub const fn monitor(role: &'static str, timeout_seconds: u64, interval_seconds: u64) -> Self {
        Self {
            role: Some(role),
            interval: Some(Duration::from_secs(interval_seconds)),
            depth: Some(0),
            ..Self::new(Action::Monitor, timeout_seconds)
        }
    }

    /// Recurring.
    pub const fn every(mut self, interval_seconds: u64) -> Self {
        self.interval = Some(Duration::from_secs(interval_seconds));
        self
    }

    /// With a check level.
    pub const fn depth(mut self, level: u32) -> Self {
        self.depth = Some(level);
        self
    }
}

/// An OCF resource agent.
pub trait Agent: Sync {
    /// The name under which it is installed.
    fn name(&self) -> &'static str;
    /// What it is, in a few words.
    fn short(&self) -> &'static str;
    /// What it is and how it is used.
    fn long(&self) -> &'static str;
    /// All parameters, in the order in which people read them.
    fn parameters(&self) -> &'static [Parameter];
    /// All actions, as advertised.
    fn actions(&self) -> &'static [Advertised];
    /// Runs an action (never `meta-data`, which needs no agent's help).
    ///
    /// # Errors
    /// With the exit code and the reason.
    fn run(&self, action: Action, call: &Invocation) -> Outcome;
    /// Is the process that lives as long as the resource is started; returns when it is not needed any more. `order`: what
    /// the action that started it wants done first.
    ///
    /// # Errors
    /// When it cannot go on.
    fn guard(&self, _call: &Invocation, _order: Option<&str>) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The action of this name, if the agent has it.
pub fn find_action(agent: &dyn Agent, name: &str) -> Option<Action> {
    agent.actions().iter().map(|advertised| advertised.action).find(|action| action.name() == name)
}

/// The time that an action has: what Pacemaker says, else what the meta-data advertise.
pub fn time_of(agent: &dyn Agent, action: Action, call: &Invocation) -> Duration {
    let advertised = agent.actions().iter().find(|advertised| advertised.action == action);
    call.timeout
        .filter(|timeout| !timeout.is_zero())
        .or(advertised.map(|found| found.timeout))
        .unwrap_or(Duration::from_secs(20))
}
