//! The ERP by itself, used by people with keys of their own: what the other flows rely on when they compare what Aegis
//! allowed with what arrived at the ERP and with what it holds.

use aegis_tests::erp::{AccessLine, Answer, BankNumber, BookedLine, BookedPurchase, Erp, OrderLine};
use http::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;

/// A valid IBAN that no supplier has.
const VALID_IBAN: &str = "DE75512108001245126199";
/// The same with a wrong last digit, so that the checksum fails.
const WRONG_IBAN: &str = "DE75512108001245126198";

#[tokio::test]
async fn an_order_placed_by_a_person_is_in_the_books_and_in_the_access_log() {
    let dir = TempDir::new().unwrap();
    let erp = Erp::start(dir.path()).await.unwrap();
    let clerk = erp.person("clerk").unwrap();
    let (nordwind, chair) = (erp.ids().supplier("nordwind").unwrap(), erp.ids().product("chair").unwrap());
    let desk = erp.ids().product("desk").unwrap();
    assert_eq!(erp.books().await.unwrap().purchases, []);

    let lines = [OrderLine::of(chair, 4), OrderLine { product: desk, quantity: 1, unit_price: "599.00" }];
    let draft = clerk.draft(nordwind, "PR-7", &lines).await.unwrap();
    assert_eq!((draft.state.as_str(), draft.total.as_str(), &draft.number), ("draft", "1198.60", &None));
    let quoted = clerk.quote(draft.id).await.unwrap();
    assert_eq!((quoted.state.as_str(), quoted.party.as_str()), ("quotation", "Nordwind Office GmbH"));
    clerk.confirm(draft.id).await.unwrap();
    let left_open = clerk.draft(nordwind, "PR-8", &[OrderLine::of(chair, 1)]).await.unwrap();
    let confirmed = clerk.purchase(draft.id).await.unwrap();
    assert_eq!((confirmed.state.as_str(), confirmed.party_id), ("confirmed", nordwind.party));

    let books = erp.books().await.unwrap();
    assert_eq!((books.count("confirmed"), books.count("draft"), books.count("quotation")), (1, 1, 0));
    assert_eq!(books.purchase(left_open.id).unwrap().state, "draft");
    let line = |product: u64, name: &str, quantity: &str, unit_price: &str| BookedLine {
        product: Some(product),
        name: Some(name.to_owned()),
        quantity: quantity.to_owned(),
        unit_price: unit_price.to_owned(),
    };
    assert_eq!(
        books.purchase(draft.id).unwrap(),
        &BookedPurchase {
            id: draft.id,
            number: confirmed.number,
            reference: Some("PR-7".to_owned()),
            description: None,
            state: "confirmed".to_owned(),
            party_id: nordwind.party,
            party: Some("Nordwind Office GmbH".to_owned()),
            currency: Some("EUR".to_owned()),
            lines: vec![
                line(chair.product, "Office chair", "4", "149.90"),
                line(desk.product, "Standing desk", "1", "599.00"),
            ],
            total: "1198.60".to_owned(),
        },
    );

    let purchases = "/erp/rest/model/purchase.purchase";
    let seen: Vec<_> = erp.requests().unwrap().into_iter().map(|l| (l.method, l.path, l.status, l.user)).collect();
    let expected = [
        ("POST", purchases.to_owned()),
        ("POST", format!("{purchases}/{}/quote", draft.id)),
        ("POST", format!("{purchases}/{}/confirm", draft.id)),
        ("POST", purchases.to_owned()),
        ("GET", format!("{purchases}/{}", draft.id)),
    ];
    let expected = expected.map(|(method, path)| (method.to_owned(), path, 200, Some("clerk".to_owned())));
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_erp_refuses_wrong_keys_missing_rights_and_wrong_ibans_by_itself() {
    let dir = TempDir::new().unwrap();
    let erp = Erp::start(dir.path()).await.unwrap();
    let baltic = erp.ids().supplier("baltic").unwrap();
    let path = format!("/rest/model/party.party/{}?f=name", baltic.party);

    let stranger = erp.person_with_key("0000").call(Method::GET, &path, None).await.unwrap();
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    let agent = erp.person("agent-erp").unwrap();
    let Answer { status, body, .. } = agent.call(Method::GET, &path, None).await.unwrap();
    assert_eq!((status, &body["name"]), (StatusCode::OK, &json!("Baltic Paper AB")));

    let auditor = erp.person("auditor").unwrap();
    let refusal = auditor.change_iban(baltic.bank_number, VALID_IBAN).await.unwrap_err().to_string();
    assert!(refusal.contains("You are not allowed to access"), "{refusal}");
    let refusal = agent.change_iban(baltic.bank_number, WRONG_IBAN).await.unwrap_err().to_string();
    assert!(refusal.contains("is not valid"), "{refusal}");
    assert_eq!(erp.books().await.unwrap().iban(baltic.bank_number), Some(baltic.iban.as_str()));

    assert_eq!(agent.change_iban(baltic.bank_number, VALID_IBAN).await.unwrap(), VALID_IBAN);
    let books = erp.books().await.unwrap();
    let changed: Vec<_> = books.bank_numbers.iter().filter(|number| number.id == baltic.bank_number).collect();
    let expected = BankNumber {
        id: baltic.bank_number,
        account: baltic.bank_account,
        iban: Some(VALID_IBAN.to_owned()),
        party_id: Some(baltic.party),
        party: Some("Baltic Paper AB".to_owned()),
    };
    assert_eq!(changed, [&expected]);

    let log = erp.requests().unwrap();
    let seen: Vec<_> = log.iter().map(|l| (l.status, l.user.as_deref(), l.may_change())).collect();
    assert_eq!(
        seen,
        [
            (401, Some("unknown"), false),
            (200, Some("agent-erp"), false),
            (400, Some("auditor"), true),
            (400, Some("agent-erp"), true),
            (200, Some("agent-erp"), true),
        ]
    );
}

#[tokio::test]
async fn a_stopped_erp_is_gone_and_starts_again_with_what_it_held() {
    let dir = TempDir::new().unwrap();
    let erp = Erp::start(dir.path()).await.unwrap();
    let clerk = erp.person("clerk").unwrap();
    let ids = erp.ids().clone();
    let paper = [OrderLine::of(ids.product("paper").unwrap(), 10)];
    let order = clerk.draft(ids.supplier("baltic").unwrap(), "PR-9", &paper).await.unwrap();
    erp.stop().await.unwrap();
    clerk.purchase(order.id).await.expect_err("nobody may listen any more");

    let erp = Erp::start(dir.path()).await.unwrap();
    // The kernel picked another port; the keys are those of the folder.
    let found = erp.person("clerk").unwrap().purchase(order.id).await.unwrap();
    assert_eq!((found.total.as_str(), found.reference.as_deref()), ("245.00", Some("PR-9")));
    let users: Vec<_> = erp.requests().unwrap().into_iter().map(|AccessLine { user, .. }| user).collect();
    assert_eq!(users, [Some("clerk".to_owned()), Some("clerk".to_owned())]);
}
