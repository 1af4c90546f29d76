//! Whether two places are further apart than a limit, the same on every machine.
//!
//! Only additions, multiplications and divisions of floating point are used, whose results are fixed by IEEE 754; the
//! platform's own sines are not.

use touchstone_schema::enrichment::Location;

/// Limits in kilometres, the furthest first, with the square of the sine of half the angle that they span on a sphere
/// of the earth's mean radius, 6371 km.
const LIMITS: [(u32, f64); 4] =
    [(10_000, 0.499_407_989_6), (5_000, 0.146_237_364_0), (2_000, 0.024_435_166_9), (1_000, 0.006_146_572_1)];

/// The greatest of 1000, 2000, 5000 and 10 000 km that two places are more apart, if any.
pub(super) fn exceeds_km(one: Location, other: Location) -> Option<u32> {
    let radians = |microdegrees: i32| f64::from(microdegrees) / 1e6 * (std::f64::consts::PI / 180.0);
    let (here, there) = (radians(one.latitude_microdegrees), radians(other.latitude_microdegrees));
    let across = radians(one.longitude_microdegrees) - radians(other.longitude_microdegrees);
    let half = |angle: f64| {
        let sine = sine(angle / 2.0);
        sine * sine
    };
    // The haversine formula; a cosine is the sine of the complement.
    let cosine = |angle: f64| sine(std::f64::consts::FRAC_PI_2 - angle);
    let haversine = half(here - there) + cosine(here) * cosine(there) * half(across);
    LIMITS.iter().find(|(_, limit)| haversine > *limit).map(|(km, _)| *km)
}

/// The sine of an angle of at most half a turn either way, by its Taylor series.
fn sine(angle: f64) -> f64 {
    let square = angle * angle;
    let mut term = angle;
    let mut sum = angle;
    for step in 1..=12u8 {
        let even = f64::from(step) * 2.0;
        term *= -square / (even * (even + 1.0));
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(latitude: f64, longitude: f64) -> Location {
        let micro = |degrees: f64| (degrees * 1e6) as i32;
        Location { latitude_microdegrees: micro(latitude), longitude_microdegrees: micro(longitude) }
    }

    #[test]
    fn sines_are_those_of_the_platform() {
        for degrees in -180..=180 {
            let angle = f64::from(degrees).to_radians();
            assert!((sine(angle) - angle.sin()).abs() < 1e-9, "{degrees}");
        }
    }

    #[test]
    fn limits_are_the_angles_of_their_distances() {
        for (km, limit) in LIMITS {
            let expected = (f64::from(km) / (2.0 * 6_371.0)).sin().powi(2);
            assert!((limit - expected).abs() < 1e-9, "{km}: {expected:.10}");
        }
    }

    #[test]
    fn known_distances_are_on_the_right_side_of_their_limits() {
        let (berlin, hamburg, madrid) = (place(52.52, 13.405), place(53.55, 9.993), place(40.417, -3.703));
        let (austin, sydney, fiji) = (place(30.267, -97.743), place(-33.869, 151.209), place(-17.8, 178.0));
        let samoa = place(-13.83, -171.77);
        assert_eq!(exceeds_km(berlin, berlin), None);
        assert_eq!(exceeds_km(berlin, hamburg), None);
        assert_eq!(exceeds_km(berlin, madrid), Some(1_000));
        assert_eq!(exceeds_km(berlin, austin), Some(5_000));
        assert_eq!(exceeds_km(austin, sydney), Some(10_000));
        assert_eq!(exceeds_km(fiji, samoa), Some(1_000));
    }
}
