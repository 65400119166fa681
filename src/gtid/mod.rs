//! Sets of transactions.
