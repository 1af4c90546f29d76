//! What every request handler shares.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::Semaphore;
use touchstone_platform::random;
use touchstone_schema::ids::RequestId;
use touchstone_schema::limits;

use crate::promise::Promises;
use crate::readiness::Readiness;
use crate::surfaces::backfill::Uploads;
use crate::surfaces::centra::{Pace, Room};
use crate::{Dependencies, Settings};

/// The door's settings, its dependencies and what it knows of its own health.
pub(crate) struct Door {
    pub(crate) settings: Settings,
    pub(crate) dependencies: Dependencies,
    pub(crate) readiness: Readiness,
    pub(crate) promises: Promises,
    /// The notices of Centra shops that are in flight.
    pub(crate) notices: Room,
    /// How often each of those shops may send.
    pub(crate) notice_pace: Pace,
    /// The uploads that come in.
    pub(crate) uploads: Uploads,
    /// Places for reading long bodies.
    pub(crate) long_reads: Arc<Semaphore>,
    /// The OpenAPI document, rendered once.
    pub(crate) openapi: bytes::Bytes,
    /// The same, compressed when it was first asked for.
    zipped_openapi: OnceLock<Option<bytes::Bytes>>,
}

/// Handlers share one door.
pub(crate) type SharedDoor = Arc<Door>;

impl Door {
    pub(crate) fn new(settings: Settings, dependencies: Dependencies) -> Self {
        let openapi = crate::openapi::document(&settings.public_url).into();
        let promises = Promises::start(dependencies.clone());
        Self {
            settings,
            dependencies,
            readiness: Readiness::default(),
            promises,
            notices: Room::default(),
            notice_pace: Pace::default(),
            uploads: Uploads::default(),
            long_reads: Arc::new(Semaphore::new(limits::LONG_READS)),
            openapi,
            zipped_openapi: OnceLock::new(),
        }
    }

    /// The OpenAPI document in gzip, a tenth as long.
    pub(crate) fn zipped_openapi(&self) -> Option<bytes::Bytes> {
        let zip = || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            let zipped = encoder.write_all(&self.openapi).and_then(|()| encoder.finish());
            zipped.inspect_err(|error| tracing::error!(%error, "the OpenAPI document was not compressed")).ok()
        };
        self.zipped_openapi.get_or_init(|| zip().map(Into::into)).clone()
    }

    /// A request id for a caller that sent none.
    pub(crate) fn mint_request_id(&self) -> RequestId {
        RequestId::mint(self.dependencies.clock.now(), random::bytes())
    }
}
