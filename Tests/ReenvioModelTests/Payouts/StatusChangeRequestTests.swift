import ReenvioModel
import Testing

@Suite struct StatusChangeRequestTests {
    @Test func readsEveryField() throws {
        let object = try jsonObject(
            """
            {"status_id":6,"end_to_end":"E1","status_detail":{"code":"WE0001","detail":"Unregistered"},
             "rejection_description":"no","authentication_code":"A9","occurred_at":"2026-03-24T08:05:30.25Z",
             "other":[1]}
            """)
        let expected = StatusChangeRequest(
            payoutID: 7, status: .canceled, endToEnd: "E1", statusDetail: .init(code: "WE0001", detail: "Unregistered"),
            rejectionDescription: "no", authenticationCode: "A9",
            occurredAt: GivenTime(Timestamp(microseconds: 1_774_339_530_250_000), step: 10_000))
        #expect(try StatusChangeRequest.parse(object, payoutID: 7) == expected)
    }

    @Test(arguments: [
        #"{"status_id":3}"#,
        #"""
        {"status_id":3,"end_to_end":null,"status_detail":null,"rejection_description":null,"authentication_code":null,
         "occurred_at":null}
        """#,
        #"{"status_id":3,"end_to_end":"","rejection_description":"","authentication_code":"","occurred_at":""}"#,
    ])
    func takesNullAndEmptyTextForAbsent(text: String) throws {
        let change = try StatusChangeRequest.parse(try jsonObject(text), payoutID: 7)
        #expect(change == StatusChangeRequest(payoutID: 7, status: .paid))
    }

    @Test(arguments: PayoutStatus.allCases)
    func takesEveryStatus(status: PayoutStatus) throws {
        let object = try jsonObject(#"{"status_id":\#(status.id)}"#)
        #expect(try StatusChangeRequest.parse(object, payoutID: 7).status == status)
    }

    @Test(arguments: [
        ("{}", #"{"status_id":["The status_id field is required."]}"#),
        (#"{"status_id":null}"#, #"{"status_id":["The status_id field is required."]}"#),
        (#"{"status_id":"3"}"#, #"{"status_id":["The status_id field must be an integer."]}"#),
        (#"{"status_id":""}"#, #"{"status_id":["The status_id field must be an integer."]}"#),
        (#"{"status_id":3.0}"#, #"{"status_id":["The status_id field must be an integer."]}"#),
        (#"{"status_id":9}"#, #"{"status_id":["The selected status_id is invalid."]}"#),
        (#"{"status_id":0}"#, #"{"status_id":["The selected status_id is invalid."]}"#),
        (#"{"status_id":12}"#, #"{"status_id":["The selected status_id is invalid."]}"#),
        (#"{"status_id":-3}"#, #"{"status_id":["The selected status_id is invalid."]}"#),
        (#"{"status_id":9223372036854775807}"#, #"{"status_id":["The selected status_id is invalid."]}"#),
        (#"{"status_id":9223372036854775808}"#, #"{"status_id":["The status_id field must be an integer."]}"#),
        (#"{"status_id":3,"end_to_end":1}"#, #"{"end_to_end":["The end_to_end field must be a string."]}"#),
        (
            #"{"status_id":3,"occurred_at":"2026-03-24 08:05:30"}"#,
            #"{"occurred_at":["The occurred_at field must be an RFC 3339 date with a zone."]}"#
        ),
        (
            #"{"status_id":3,"occurred_at":"2026-12-31T23:59:60Z"}"#,
            #"{"occurred_at":["The occurred_at field must not be a leap second: "#
                + #"write second 59, or second 00 of the next minute."]}"#
        ),
        (
            #"{"status_id":3,"occurred_at":"2026-12-31T20:59:60.5-03:00"}"#,
            #"{"occurred_at":["The occurred_at field must not be a leap second: "#
                + #"write second 59, or second 00 of the next minute."]}"#
        ),
        (
            #"{"status_id":3,"occurred_at":"2026-12-31T23:58:60Z"}"#,
            #"{"occurred_at":["The occurred_at field must be an RFC 3339 date with a zone."]}"#
        ),
        (#"{"status_id":3,"occurred_at":1774339530}"#, #"{"occurred_at":["The occurred_at field must be a string."]}"#),
        (#"{"status_id":6,"status_detail":"x"}"#, #"{"status_detail":["The status_detail field must be an object."]}"#),
        (
            #"{"status_id":6,"status_detail":{}}"#,
            #"{"status_detail.code":["The status_detail.code field is required."],"#
                + #""status_detail.detail":["The status_detail.detail field is required."]}"#
        ),
        (
            #"{"status_id":"x","end_to_end":[],"rejection_description":{},"authentication_code":1,"occurred_at":true,"#
                + #""status_detail":{"code":1,"detail":""}}"#,
            #"{"status_id":["The status_id field must be an integer."],"#
                + #""end_to_end":["The end_to_end field must be a string."],"#
                + #""rejection_description":["The rejection_description field must be a string."],"#
                + #""authentication_code":["The authentication_code field must be a string."],"#
                + #""occurred_at":["The occurred_at field must be a string."],"#
                + #""status_detail.code":["The status_detail.code field must be a string."],"#
                + #""status_detail.detail":["The status_detail.detail field is required."]}"#
        ),
    ])
    func namesEveryFault(text: String, expected: String) throws {
        let object = try jsonObject(text)
        let faults = try #require(throws: Faults.self) { try StatusChangeRequest.parse(object, payoutID: 7) }
        #expect(rendered(faults) == expected)
    }
}
