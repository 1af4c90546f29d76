//! How many notices there is room for at once: the cache, which limits the rate of signed requests, is not asked here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use touchstone_schema::ids::ConnectionId;

/// Most notices in flight, whosever they are: 64 MiB of bodies.
const ALL: usize = 256;
/// Most of one connection, so that none of them keeps the others out.
const EACH: usize = 32;

/// The notices in flight of a process.
#[derive(Debug, Default)]
pub(crate) struct Room(Mutex<HashMap<ConnectionId, usize>>);

/// One notice's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    room: &'a Room,
    connection: ConnectionId,
}

impl Room {
    /// A place for a notice of this connection; none when there is no room.
    pub(super) fn enter(&self, connection: &ConnectionId) -> Option<Place<'_>> {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.values().sum::<usize>() >= ALL || inside.get(connection).is_some_and(|own| *own >= EACH) {
            return None;
        }
        *inside.entry(connection.clone()).or_default() += 1;
        Some(Place { room: self, connection: connection.clone() })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut inside = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = inside.get_mut(&self.connection) {
            *own -= 1;
            if *own == 0 {
                inside.remove(&self.connection);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use touchstone_schema::time::Timestamp;

    use super::*;

    fn connection(number: u8) -> ConnectionId {
        ConnectionId::mint(Timestamp::from_millis(1), [number; 10])
    }

    #[test]
    fn one_connection_leaves_room_for_others_and_all_together_have_a_limit() {
        let room = Room::default();
        let mut places: Vec<_> = (0..EACH).map(|_| room.enter(&connection(0)).expect("there is room")).collect();
        assert!(room.enter(&connection(0)).is_none());
        for number in 1..8 {
            places.extend((0..EACH).map(|_| room.enter(&connection(number)).expect("there is room")));
        }
        assert_eq!(places.len(), ALL);
        assert!(room.enter(&connection(9)).is_none());
        places.pop();
        assert!(room.enter(&connection(9)).is_some());
        places.clear();
        assert!(room.0.lock().expect("no panic").is_empty(), "nothing is left of those who went");
    }
}
