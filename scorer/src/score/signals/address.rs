//! Postal addresses: whether they are whole, and whether goods go to somebody's door.

use touchstone_schema::order::{Address, Order, OrderSource};

use super::super::confidence::{Input, all_digital};
use super::super::policy::Group;
use super::super::{Check, Facts, Finding, Signal};
use super::words;

/// The signals of this group.
pub const SIGNALS: &[Signal] = &[
    Signal {
        code: "address_missing",
        group: Group::Address,
        points: 8,
        meaning: "an order without a billing address",
        inputs: &[Input::Billing],
        check: Check::By(missing),
    },
    Signal {
        code: "address_incomplete",
        group: Group::Address,
        points: 5,
        meaning: "the billing address lacks an essential part",
        inputs: &[Input::Billing],
        check: Check::By(incomplete),
    },
    Signal {
        code: "po_box",
        group: Group::Address,
        points: 3,
        meaning: "goods are shipped to a post office box",
        inputs: &[Input::Shipping, Input::Billing, Input::Items],
        check: Check::By(po_box),
    },
    Signal {
        code: "freight_forwarder",
        group: Group::Address,
        points: 15,
        meaning: "goods are shipped to a forwarding company or a parcel locker",
        inputs: &[Input::Shipping, Input::Billing, Input::Items],
        check: Check::By(freight_forwarder),
    },
    Signal {
        code: "digital_goods",
        group: Group::Address,
        points: 4,
        meaning: "nothing is shipped: all goods are digital",
        inputs: &[Input::Items],
        check: Check::By(|facts| {
            all_digital(facts.order).then_some("nothing is shipped: all goods are digital").and_then(Finding::because)
        }),
    },
];

/// Countries and territories whose addresses have no postal code, or seldom.
const WITHOUT_POSTAL_CODES: &str = "AE AG AO AW BF BI BJ BO BS BW BZ CD CF CG CI CK CM CW DJ DM ER FJ GD GH GM GN GQ GY HK IE JM KI KM KN KP LC LY ML MO \
     MR MW NR NU PA QA RW SB SC SL SR ST SX SY TD TG TK TL TO TT TV UG VU WS YE ZW";

/// What post office boxes are called.
const PO_BOXES: &[&str] = &[
    " po box ",
    " p o box ",
    " pobox ",
    " post office box ",
    " postal box ",
    " postfach ",
    " postbus ",
    " postboks ",
    " apartado ",
    " casella postale ",
    " caixa postal ",
    " boite postale ",
    " boîte postale ",
    " skrytka pocztowa ",
];

/// Well-known forwarding companies and parcel lockers, by their name or the street of their warehouse. Not exhaustive.
const FORWARDERS: &[(&str, &str)] = &[
    (" myus ", "MyUS"),
    (" 4283 express l", "MyUS"),
    (" shipito ", "Shipito"),
    (" 444 alaska ave", "Shipito"),
    (" 13820 ne airport way ", "a Portland forwarding warehouse"),
    (" 13822 ne airport way ", "a Portland forwarding warehouse"),
    (" stackry ", "Stackry"),
    (" forward2me ", "forward2me"),
    (" planet express ", "Planet Express"),
    (" planetexpress ", "Planet Express"),
    (" borderlinx ", "Borderlinx"),
    (" comgateway ", "comGateway"),
    (" hopshopgo ", "HopShopGo"),
    (" qwintry ", "Qwintry"),
    (" viabox ", "Viabox"),
    (" reship ", "Reship"),
    (" opas ", "OPAS"),
    (" aeropost ", "Aeropost"),
    (" shop ship ", "Shop & Ship"),
    (" shop and ship ", "Shop & Ship"),
    (" buyee ", "Buyee"),
    (" tenso ", "Tenso"),
    (" zenmarket ", "ZenMarket"),
    (" us global mail ", "US Global Mail"),
    (" anytime mailbox ", "Anytime Mailbox"),
    (" freight forward", "a freight forwarder"),
    (" parcel forward", "a parcel forwarder"),
    (" mail forward", "a mail forwarder"),
    (" packstation ", "a parcel locker"),
    (" paczkomat ", "a parcel locker"),
    (" parcel locker ", "a parcel locker"),
    (" amazon locker ", "a parcel locker"),
    (" amazon hub ", "a parcel locker"),
];

fn missing(facts: &Facts<'_>) -> Option<Finding> {
    let in_store = facts.order.source == Some(OrderSource::InStore);
    (facts.order.billing_address.is_none() && !in_store)
        .then_some("no billing address was given")
        .and_then(Finding::because)
}

fn incomplete(facts: &Facts<'_>) -> Option<Finding> {
    let address = facts.order.billing_address.as_ref()?;
    let has_codes = |code: &str| !WITHOUT_POSTAL_CODES.split(' ').any(|without| without == code);
    let needs_postal_code = address.country.is_none_or(|country| has_codes(country.as_str()));
    let parts = [
        ("street", address.address1.is_some()),
        ("city", address.city.is_some()),
        ("postal code", address.postal_code.is_some() || !needs_postal_code),
        ("country", address.country.is_some()),
    ];
    let lacking: Vec<&str> = parts.into_iter().filter(|(_, present)| !present).map(|(name, _)| name).collect();
    (!lacking.is_empty())
        .then(|| format!("the billing address lacks: {}", lacking.join(", ")))
        .and_then(Finding::because)
}

fn po_box(facts: &Facts<'_>) -> Option<Finding> {
    let address = goods_go_to(facts.order)?;
    let lines = words::spaced([address.address1.as_deref(), address.address2.as_deref()].into_iter().flatten());
    PO_BOXES
        .iter()
        .any(|name| lines.contains(name))
        .then_some("the goods are shipped to a post office box")
        .and_then(Finding::because)
}

fn freight_forwarder(facts: &Facts<'_>) -> Option<Finding> {
    let address = goods_go_to(facts.order)?;
    let lines = [address.company.as_deref(), address.address1.as_deref(), address.address2.as_deref()];
    let lines = words::spaced(lines.into_iter().flatten());
    let (_, name) = FORWARDERS.iter().find(|(mark, _)| lines.contains(mark))?;
    Finding::because(format!("the goods are shipped to a forwarding company or locker ({name})"))
}

/// Where goods are shipped: the shipping address, else the billing address; nowhere when all are digital.
fn goods_go_to(order: &Order) -> Option<&Address> {
    let address = order.shipping_address.as_ref().or(order.billing_address.as_ref())?;
    (!all_digital(order)).then_some(address)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::score::fixture::Case;

    #[test]
    fn no_billing_address_fires_unless_sold_in_a_shop() {
        assert!(Case::ordinary().without("/billing_address").fires("address_missing"));
        assert!(!Case::ordinary().without("/billing_address").with("/source", "in_store").fires("address_missing"));
        assert!(!Case::ordinary().fires("address_missing"));
    }

    #[test]
    fn missing_parts_are_named() {
        let case = Case::ordinary().without("/billing_address/address1").without("/billing_address/postal_code");
        let detail = case.finding("address_incomplete").map(|finding| finding.detail);
        assert_eq!(detail.as_deref(), Some("the billing address lacks: street, postal code"));
    }

    #[test]
    fn an_address_is_whole_without_postal_code_where_there_are_none() {
        let case = Case::ordinary().without("/billing_address/postal_code").with("/billing_address/country", "HK");
        assert!(!case.fires("address_incomplete"));
        assert!(!Case::ordinary().fires("address_incomplete"));
        assert!(!Case::ordinary().without("/billing_address").fires("address_incomplete"));
    }

    #[test]
    fn a_post_office_box_fires_however_it_is_spelt() {
        for line in ["P.O. Box 12", "po box 7", "Postfach 10 20", "Apartado 5"] {
            assert!(Case::ordinary().with("/shipping_address/address1", line).fires("po_box"), "{line}");
        }
    }

    #[test]
    fn a_street_or_a_box_that_gets_nothing_shipped_does_not_fire() {
        assert!(!Case::ordinary().with("/shipping_address/address1", "12 Boxwood Depot Road").fires("po_box"));
        let billing_only = Case::ordinary().with("/billing_address/address1", "PO Box 12");
        assert!(!billing_only.fires("po_box"));
        let digital = json!([{"sku": "GIFT-50", "quantity": 1, "price": 50, "is_digital": true}]);
        let case = Case::ordinary().with("/shipping_address/address1", "PO Box 12").with("/line_items", digital);
        assert!(!case.fires("po_box"));
    }

    #[test]
    fn forwarders_and_lockers_fire_by_name() {
        let by_company = Case::ordinary().with("/shipping_address/company", "MyUS.com").finding("freight_forwarder");
        let detail = by_company.map(|finding| finding.detail);
        assert_eq!(detail.as_deref(), Some("the goods are shipped to a forwarding company or locker (MyUS)"));
        for line in ["4283 Express Lane Suite 100", "Packstation 123", "444 Alaska Avenue"] {
            assert!(Case::ordinary().with("/shipping_address/address1", line).fires("freight_forwarder"), "{line}");
        }
    }

    #[test]
    fn ordinary_streets_are_no_forwarders() {
        for line in ["444 Alaskan Way", "12 Planet Street", "3 Reshipping Mews"] {
            assert!(!Case::ordinary().with("/shipping_address/address1", line).fires("freight_forwarder"), "{line}");
        }
    }

    #[test]
    fn only_digital_goods_fire() {
        let items = json!([{"sku": "GIFT-50", "quantity": 1, "price": 50, "is_digital": true}]);
        assert!(Case::ordinary().with("/line_items", items).fires("digital_goods"));
    }

    #[test]
    fn mixed_or_unknown_goods_are_not_digital() {
        let items = json!([{"sku": "GIFT-50", "is_digital": true}, {"sku": "MUG"}]);
        assert!(!Case::ordinary().with("/line_items", items).fires("digital_goods"));
        assert!(!Case::ordinary().without("/line_items").fires("digital_goods"));
    }
}
