//! The tables of JSB.
