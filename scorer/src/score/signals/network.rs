//! The connection and the browser that an order came from.

use touchstone_schema::address_class::is_reserved;

use super::super::confidence::{Input, is_online};
use super::super::policy::Group;
use super::super::{Check, Facts, Finding, Signal};
use super::language;

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    Signal {
        code: "anonymous_ip",
        group: Group::Network,
        points: 15,
        meaning: "the connection came by a proxy or VPN",
        inputs: &[Input::IpNetwork, Input::Connection],
        check: Check::By(anonymous_ip),
    },
    Signal {
        code: "tor_exit",
        group: Group::Network,
        points: 25,
        meaning: "the connection came by the Tor network",
        inputs: &[Input::IpNetwork, Input::Connection],
        check: Check::By(tor_exit),
    },
    Signal {
        code: "hosting_ip",
        group: Group::Network,
        points: 12,
        meaning: "the IP address belongs to a hosting provider, where servers are and customers are not",
        inputs: &[Input::IpNetwork],
        check: Check::By(hosting_ip),
    },
    Signal {
        code: "private_ip",
        group: Group::Network,
        points: 4,
        meaning: "the IP address is private or reserved, where a customer's is expected",
        inputs: &[Input::Ip],
        check: Check::By(private_ip),
    },
    Signal {
        code: "user_agent_missing",
        group: Group::Network,
        points: 3,
        meaning: "an order over the web without a browser's user agent",
        inputs: &[Input::UserAgent],
        check: Check::By(user_agent_missing),
    },
    Signal {
        code: "user_agent_automation",
        group: Group::Network,
        points: 12,
        meaning: "the user agent is a script or a browser driven by one",
        inputs: &[Input::UserAgent],
        check: Check::By(user_agent_automation),
    },
    Signal {
        code: "language_mismatch",
        group: Group::Network,
        points: 3,
        meaning: "none of the browser's languages is spoken in the billing country",
        inputs: &[Input::Language, Input::BillingCountry],
        check: Check::By(language_mismatch),
    },
];

/// What user agents of scripts and driven browsers contain, in lower case, and what to call them.
const AUTOMATION: &[(&str, &str)] = &[
    ("headless", "a headless browser"),
    ("phantomjs", "PhantomJS"),
    ("selenium", "Selenium"),
    ("webdriver", "WebDriver"),
    ("puppeteer", "Puppeteer"),
    ("playwright", "Playwright"),
    ("python", "Python"),
    ("aiohttp", "Python"),
    ("scrapy", "Scrapy"),
    ("curl/", "curl"),
    ("wget/", "Wget"),
    ("go-http-client", "Go"),
    ("apache-httpclient", "Java"),
    ("java/", "Java"),
    ("libwww-perl", "Perl"),
    ("node-fetch", "Node.js"),
    ("axios/", "Node.js"),
    ("undici", "Node.js"),
    ("guzzlehttp", "PHP"),
    ("postmanruntime", "Postman"),
    ("insomnia/", "Insomnia"),
];

/// Silent where Tor was found, which says the same and more.
fn anonymous_ip(facts: &Facts<'_>) -> Option<Finding> {
    let found = facts.enrichment.ip.is_anonymous || facts.order.device.is_proxy == Some(true);
    (found && is_online(facts.order) && !is_tor(facts))
        .then_some("the customer's connection came by a proxy or VPN")
        .and_then(Finding::because)
}

fn tor_exit(facts: &Facts<'_>) -> Option<Finding> {
    (is_tor(facts) && is_online(facts.order))
        .then_some("the customer's connection came by the Tor network")
        .and_then(Finding::because)
}

fn is_tor(facts: &Facts<'_>) -> bool {
    facts.enrichment.ip.is_tor_exit || facts.order.device.is_tor == Some(true)
}

fn hosting_ip(facts: &Facts<'_>) -> Option<Finding> {
    (facts.enrichment.ip.is_hosting && is_online(facts.order))
        .then_some("the IP address belongs to a hosting provider, not to a customer's network")
        .and_then(Finding::because)
}

fn private_ip(facts: &Facts<'_>) -> Option<Finding> {
    let reserved = is_reserved(facts.order.ip_address?);
    (reserved && is_online(facts.order))
        .then_some("the IP address is private or reserved, so it is not the customer's")
        .and_then(Finding::because)
}

fn user_agent_missing(facts: &Facts<'_>) -> Option<Finding> {
    (facts.order.user_agent.is_none() && is_online(facts.order))
        .then_some("no browser was named (user agent)")
        .and_then(Finding::because)
}

fn user_agent_automation(facts: &Facts<'_>) -> Option<Finding> {
    let user_agent = facts.order.user_agent.as_deref()?.to_ascii_lowercase();
    let (_, tool) = AUTOMATION.iter().find(|(mark, _)| user_agent.contains(mark))?;
    Finding::because(format!("the order was placed by an automated tool ({tool})"))
}

fn language_mismatch(facts: &Facts<'_>) -> Option<Finding> {
    let country = facts.order.billing_address.as_ref()?.country?;
    let accepted = facts.order.device.accept_language.as_deref()?;
    language::is_foreign(accepted, country)
        .then(|| format!("none of the browser's languages is spoken in the billing country ({country})"))
        .and_then(Finding::because)
}

#[cfg(test)]
mod tests {
    use touchstone_schema::enrichment::IpFacts;

    use crate::score::fixture::Case;

    #[test]
    fn proxies_tor_and_hosting_fire_by_outside_data_or_by_what_the_shop_found() {
        let known = |tell: fn(&mut IpFacts)| Case::ordinary().enriched(|known| tell(&mut known.ip));
        for (case, code) in [
            (known(|ip| ip.is_anonymous = true), "anonymous_ip"),
            (Case::ordinary().with("/device/is_proxy", true), "anonymous_ip"),
            (known(|ip| ip.is_tor_exit = true), "tor_exit"),
            (Case::ordinary().with("/device/is_tor", true), "tor_exit"),
            (known(|ip| ip.is_hosting = true), "hosting_ip"),
        ] {
            assert_eq!(case.assess().reason_codes, [code]);
            assert!(!case.with("/source", "phone").fires(code), "{code}");
            assert!(!Case::ordinary().with("/device/is_proxy", false).fires(code), "{code}");
        }
        let both = known(|ip| (ip.is_anonymous, ip.is_tor_exit) = (true, true));
        assert_eq!(both.assess().reason_codes, ["tor_exit"]);
    }

    #[test]
    fn private_and_reserved_addresses_fire() {
        for address in
            ["10.1.2.3", "192.168.0.1", "100.64.0.1", "127.0.0.1", "::1", "fd00::1", "2001:db8::1", "0.0.0.0"]
        {
            assert!(Case::ordinary().with("/ip_address", address).fires("private_ip"), "{address}");
        }
    }

    #[test]
    fn public_addresses_do_not_fire_and_neither_do_shop_sales() {
        for address in ["8.8.8.8", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(!Case::ordinary().with("/ip_address", address).fires("private_ip"), "{address}");
        }
        assert!(!Case::ordinary().with("/ip_address", "10.1.2.3").with("/source", "in_store").fires("private_ip"));
    }

    #[test]
    fn an_online_order_without_user_agent_fires() {
        assert!(Case::ordinary().without("/user_agent").fires("user_agent_missing"));
    }

    #[test]
    fn a_telephone_order_needs_no_user_agent() {
        assert!(!Case::ordinary().fires("user_agent_missing"));
        assert!(!Case::ordinary().without("/user_agent").with("/source", "phone").fires("user_agent_missing"));
    }

    #[test]
    fn scripts_fire() {
        for agent in ["curl/8.5.0", "python-requests/2.32", "Mozilla/5.0 HeadlessChrome/120.0", "Go-http-client/2.0"] {
            assert!(Case::ordinary().with("/user_agent", agent).fires("user_agent_automation"), "{agent}");
        }
    }

    #[test]
    fn browsers_do_not_fire() {
        for agent in ["Mozilla/5.0 (Linux; Android 13; CUBOT NOTE 30) Chrome/124.0 Mobile", "Ünïcode \u{1F600}"] {
            assert!(!Case::ordinary().with("/user_agent", agent).fires("user_agent_automation"), "{agent}");
        }
    }

    #[test]
    fn a_foreign_browser_language_fires() {
        assert!(Case::ordinary().with("/device/accept_language", "vi-VN,vi;q=0.9").fires("language_mismatch"));
    }

    #[test]
    fn a_language_of_the_country_does_not_fire() {
        assert!(!Case::ordinary().with("/device/accept_language", "es-MX, en-US;q=0.5").fires("language_mismatch"));
        assert!(
            !Case::ordinary()
                .with("/device/accept_language", "vi")
                .without("/billing_address/country")
                .fires("language_mismatch")
        );
    }
}
