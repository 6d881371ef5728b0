import ReenvioModel
import Testing

/// A line as a ledger would export it; tests change one member.
private let example = """
    {"merchant_id":303,"id":2322977,"invoice":"575e8327-f145-48ff-b207-737eef2d6f3f","amount":"43.34","currency":"BRL",\
    "notification_url":"https://a.example/hook","status_id":3,"end_to_end":"E1","status_detail":null,\
    "created_at":"2026-03-24T08:00:00Z","updated_at":"2026-03-24T08:05:30.25Z","beneficiary":{"name":5},"other":[1]}
    """

@Suite struct ImportLineTests {
    private static let now = Timestamp(seconds: 1_774_400_000)

    private func parse(_ text: String) throws(ImportRefusal) -> ImportLine {
        try ImportLine.parse(text.utf8, policy: AddressPolicy(), now: Self.now)
    }

    private func changed(_ path: String, _ json: String?) throws -> String {
        let object = try jsonObject(example).with(path, json)
        return String(decoding: JSONValue.object(object).bytes, as: UTF8.self)
    }

    private func faults(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        let refusal = try #require(throws: ImportRefusal.self, sourceLocation: sourceLocation) { try parse(text) }
        guard case .faults(let faults) = refusal else { return "\(refusal)" }
        return rendered(faults)
    }

    @Test func readsEveryField() throws {
        let expected = ImportLine(
            id: 2_322_977, merchantID: 303, invoice: "575e8327-f145-48ff-b207-737eef2d6f3f",
            amount: Money(minor: 4_334, currency: "BRL"),
            notificationURL: try ReceiverURL(parsing: "https://a.example/hook", policy: AddressPolicy()),
            status: .paid, endToEnd: "E1", createdAt: Timestamp(seconds: 1_774_339_200),
            updatedAt: Timestamp(microseconds: 1_774_339_530_250_000))
        #expect(try parse(example) == expected)
    }

    @Test(arguments: ["id", "notification_url", "end_to_end", "status_detail"])
    func takesAbsentAndNullForNothing(field: String) throws {
        let absent = try parse(try changed(field, nil))
        #expect(absent == (try parse(try changed(field, "null"))))
        switch field {
        case "id": #expect(absent.id == nil)
        case "notification_url": #expect(absent.notificationURL == nil)
        case "end_to_end": #expect(absent.endToEnd == nil)
        default: #expect(absent.statusDetail == nil)
        }
    }

    @Test(arguments: ["merchant_id", "invoice", "amount", "currency", "status_id", "created_at", "updated_at"])
    func asksForTheOthers(field: String) throws {
        let expected = #"{"\#(field)":["The \#(field) field is required."]}"#
        #expect(try faults(try changed(field, nil)) == expected)
        #expect(try faults(try changed(field, "null")) == expected)
    }

    /// A JSON number or the same as text, read as a decimal (`docs/contract.md` 2.1).
    @Test(arguments: [
        (#""43.34""#, 4_334), ("43.34", 4_334), (#""43.340""#, 4_334), ("4334e-2", 4_334), (#""1""#, 100),
        (#""0.29""#, 29), ("1023.99", 102_399), (#""999999999.99""#, 99_999_999_999),
    ])
    func readsTheAmountByValue(json: String, minor: Int64) throws {
        #expect(try parse(try changed("amount", json)).amount == Money(minor: minor, currency: "BRL"))
    }

    @Test(arguments: PayoutStatus.allCases)
    func takesEveryStatus(status: PayoutStatus) throws {
        let line = try parse(try changed("status_id", "\(status.id)"))
        #expect(line.status == status)
        #expect(line.isNotified == status.isNotifiable)
        // Nothing has happened to an Awaiting payout since its creation, whatever the other system calls an update.
        #expect((line.updatedAt == line.createdAt) == (status == .awaiting))
        #expect(try parse(try changed("notification_url", nil)).isNotified == false)
    }

    @Test func takesAStatusDetailWithCanceledOnly() throws {
        let detail = #"{"code":"WE0001","detail":"unregistered"}"#
        let canceled = try jsonObject(example).with("status_id", "6").with("status_detail", detail)
        let line = try ImportLine.read(canceled, policy: AddressPolicy(), now: Self.now)
        #expect(line.statusDetail == .init(code: "WE0001", detail: "unregistered"))
        #expect(
            try faults(try changed("status_detail", detail))
                == #"{"status_detail":["The status_detail field is accepted only with status_id 6."]}"#)
    }

    @Test(arguments: [
        ("id", "0", "The id field must be between 1 and 4611686018427387904."),
        ("id", "-5", "The id field must be between 1 and 4611686018427387904."),
        ("id", "4611686018427387905", "The id field must be between 1 and 4611686018427387904."),
        ("id", #""7""#, "The id field must be an integer."),
        ("id", "7.0", "The id field must be an integer."),
        ("id", "9223372036854775808", "The id field must be an integer."),
        ("merchant_id", #""303""#, "The merchant_id field must be an integer."),
        ("invoice", #""""#, "The invoice field is required."),
        ("invoice", "7", "The invoice field must be a string."),
        ("invoice", #""a\u0000b""#, "The invoice field must not contain U+0000."),
        ("amount", #""""#, "The amount field is required."),
        ("amount", #""R$43.34""#, "The amount field must be a number."),
        ("amount", #"" 43.34""#, "The amount field must be a number."),
        ("amount", #""43,34""#, "The amount field must be a number."),
        ("amount", "true", "The amount field must be a number."),
        ("amount", #""0.00""#, "The amount field must be greater than 0."),
        ("amount", "-1", "The amount field must be greater than 0."),
        ("amount", #""43.341""#, "The amount field must not have more than 2 decimals."),
        ("amount", "1000000000", "The amount field must not be greater than 999999999.99."),
        ("currency", #""USD""#, "The selected currency is not supported."),
        (
            "notification_url", #""http://a.example/hook""#,
            "The notification_url field must be an https URL."
        ),
        (
            "notification_url", #""https://127.0.0.1/hook""#,
            "The notification_url field must be an https URL with a public host."
        ),
        ("status_id", "9", "The selected status_id is invalid."),
        ("status_id", #""3""#, "The status_id field must be an integer."),
        ("end_to_end", "5", "The end_to_end field must be a string."),
        ("status_detail", #""x""#, "The status_detail field must be an object."),
        ("created_at", #""2026-03-24 08:00:00""#, "The created_at field must be an RFC 3339 date with a zone."),
        ("created_at", #""2026-03-24T08:00:00""#, "The created_at field must be an RFC 3339 date with a zone."),
        ("created_at", "1774339200", "The created_at field must be a string."),
        ("updated_at", #""2026-02-30T08:00:00Z""#, "The updated_at field must be an RFC 3339 date with a zone."),
        ("updated_at", #""2026-03-24T07:59:59.999999Z""#, "The updated_at field must not be before created_at."),
    ])
    func namesEachFault(field: String, json: String, text: String) throws {
        #expect(try faults(try changed(field, json)) == #"{"\#(field)":["\#(text)"]}"#)
    }

    @Test func namesAllFaultsAtOnce() throws {
        let text = #"{"id":0,"merchant_id":"x","amount":"x","currency":"EUR","status_id":9,"created_at":"x"}"#
        let refusal = try #require(throws: ImportRefusal.self) { try parse(text) }
        #expect(
            refusal.text == """
                The merchant_id field must be an integer. The id field must be between 1 and 4611686018427387904. The \
                invoice field is required. The amount field must be a number. The selected currency is not supported. \
                The selected status_id is invalid. The created_at field must be an RFC 3339 date with a zone. The \
                updated_at field is required.
                """)
    }

    /// `docs/contract.md` 1.2: at most 5 minutes ahead, exactly 5 pass.
    @Test(arguments: ["created_at", "updated_at"])
    func letsDatesLieFiveMinutesAhead(field: String) throws {
        let latest = Self.now + .seconds(300)
        let both = try jsonObject(example).with("updated_at", "\"\(TimeText.micro(latest))\"")
        let last = try both.with(field, "\"\(TimeText.micro(latest))\"")
        #expect(try ImportLine.read(last, policy: AddressPolicy(), now: Self.now).updatedAt == latest)
        let late = try both.with(field, "\"\(TimeText.micro(latest + .microseconds(1)))\"")
        let thrown = try #require(throws: Faults.self) {
            try ImportLine.read(late, policy: AddressPolicy(), now: Self.now)
        }
        #expect(thrown[field] == ["The \(field) field must not be more than 5 minutes in the future."])
    }

    @Test func readsDatesInAnyZone() throws {
        let line = try parse(try changed("created_at", #""2026-03-24T05:00:00.000001-03:00""#))
        #expect(line.createdAt == Timestamp(microseconds: 1_774_339_200_000_001))
    }

    @Test(
        arguments: [
            ("", "The line ends in the middle of its JSON."),
            ("{", "The line ends in the middle of its JSON."),
            ("oops", "The line is not JSON at byte 1."),
            (#"{"id":1} {"id":2}"#, "The line is not JSON at byte 10."),
            ("[1]", "The line is not a JSON object."),
            ("null", "The line is not a JSON object."),
            (#"{"id":1,"id":1}"#, "The line repeats a key."),
            (#"{"invoice":"\ud800"}"#, "The line has half of a surrogate pair."),
            (#"{"a":"# + String(repeating: "[", count: 40), "The line nests deeper than 32."),
        ] as [(String, String)])
    func saysWhatIsNoObject(text: String, reason: String) throws {
        let refusal = try #require(throws: ImportRefusal.self) { try parse(text) }
        #expect(refusal.text == reason)
    }

    @Test func refusesWhatIsNotUTF8() throws {
        let bytes = Array(#"{"invoice":""#.utf8) + [0xC3, 0x28] + Array(#""}"#.utf8)
        let refusal = try #require(throws: ImportRefusal.self) {
            try ImportLine.parse(bytes, policy: AddressPolicy(), now: Self.now)
        }
        #expect(refusal.text == "The line is not UTF-8.")
    }

    /// People read the reasons, and logs keep them: no value of a line may stand in one (`docs/contract.md` 14).
    @Test(arguments: [
        "merchant_id", "id", "invoice", "amount", "currency", "notification_url", "status_id", "end_to_end",
        "status_detail", "created_at", "updated_at",
    ])
    func neverRepeatsAValue(field: String) throws {
        var refused = 0
        for json in [#""82608288200""#, "82608288200.5", #"["82608288200"]"#, #"{"82608288200":"82608288200"}"#] {
            let text = try changed(field, json)
            do {
                _ = try parse(text)
            } catch {
                refused += 1
                #expect(!error.text.contains("82608288200"))
            }
        }
        #expect(refused >= 3)
    }

    @Test func writesTheWebhookOfTheStatus() throws {
        let body = String(decoding: try parse(example).body(payoutID: 7), as: UTF8.self)
        #expect(
            body == """
                {"id":7,"invoice":"575e8327-f145-48ff-b207-737eef2d6f3f","end_to_end":"E1",\
                "status":{"id":3,"name":"Paid"},"updated_at":"2026-03-24 08:05:30"}
                """)
    }

    // MARK: Acknowledged elsewhere, and dates at their own precision

    @Test(
        arguments: [
            ("2026-03-24T08:05:30Z", 1_774_339_530_250_000), ("2026-03-24T08:05:30.2Z", 1_774_339_530_250_000),
            ("2026-03-24T08:05:30.25Z", 1_774_339_530_250_000), ("2026-03-24T05:05:31.5-03:00", 1_774_339_531_500_000),
            ("2026-03-25T00:53:20Z", 1_774_400_000_000_000), ("2026-03-25T00:58:20Z", 1_774_400_300_000_000),
        ] as [(String, Int64)])
    func readsWhenItWasAcknowledged(text: String, microseconds: Int64) throws {
        let line = try parse(try changed("acknowledged_at", "\"\(text)\""))
        #expect(line.acknowledgedAt == Timestamp(microseconds: microseconds))
    }

    @Test(arguments: [nil, "null", #""""#])
    func isNotAcknowledgedWhereNothingSaysSo(json: String?) throws {
        #expect(try parse(try changed("acknowledged_at", json)).acknowledgedAt == nil)
    }

    @Test(arguments: [
        ("2026-03-24T08:05:29Z", "must not be before updated_at."),
        ("2026-03-24T08:05:30.1Z", "must not be before updated_at."),
        ("2026-03-25T00:58:21Z", "must not be more than 5 minutes in the future."),
        ("2026-03-24 08:06:00", "must be an RFC 3339 date with a zone."),
        ("2026-03-24T23:59:60Z", "must not be a leap second: write second 59, or second 00 of the next minute."),
    ])
    func refusesAnImpossibleAcknowledgement(text: String, rule: String) throws {
        let expected = #"{"acknowledged_at":["The acknowledged_at field \#(rule)"]}"#
        #expect(try faults(try changed("acknowledged_at", "\"\(text)\"")) == expected)
    }

    @Test(arguments: [("status_id", "2"), ("status_id", "7"), ("status_id", "8"), ("notification_url", "null")])
    func refusesAnAcknowledgementOfWhatWasNeverSent(field: String, json: String) throws {
        let object = try jsonObject(try changed("acknowledged_at", #""2026-03-24T09:00:00Z""#)).with(field, json)
        let text = String(decoding: JSONValue.object(object).bytes, as: UTF8.self)
        #expect(
            try faults(text)
                == #"{"acknowledged_at":["The acknowledged_at field is accepted only with a notification_url "#
                + #"and a status that has a webhook."]}"#)
    }

    /// The same second: raised to the creation, not before it.
    @Test func comparesDatesAtTheirOwnPrecision() throws {
        let text = try changed("created_at", #""2026-03-24T08:05:30.524Z""#)
        let object = try jsonObject(text).with("updated_at", #""2026-03-24T08:05:30Z""#)
        let line = try parse(String(decoding: JSONValue.object(object).bytes, as: UTF8.self))
        #expect(line.updatedAt == line.createdAt)
        let earlier = try jsonObject(text).with("updated_at", #""2026-03-24T08:05:30.5Z""#)
        #expect(
            try parse(String(decoding: JSONValue.object(earlier).bytes, as: UTF8.self)).updatedAt == line.createdAt)
        let before = try jsonObject(text).with("updated_at", #""2026-03-24T08:05:29Z""#)
        #expect(
            try faults(String(decoding: JSONValue.object(before).bytes, as: UTF8.self))
                == #"{"updated_at":["The updated_at field must not be before created_at."]}"#)
    }
}
