//! rustha-lab.
