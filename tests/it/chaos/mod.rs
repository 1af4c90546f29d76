//! Promise 1 under fault: processes and servers are killed and restarted while orders come in, on both ways to run.
//!
//! A shop sends orders as its integrator must: the same order again after anything but a 2xx, never after a 2xx. In the
//! end every order has one verdict, one event and its webhook, and nothing lies in the dead letters.

mod drain;
mod kills;
mod load;
mod outages;
mod overload;
mod restarts;
mod shop;
mod trio;
mod unfinished;
