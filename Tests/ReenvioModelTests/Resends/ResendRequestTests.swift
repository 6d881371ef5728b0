import ReenvioModel
import Testing

/// Each row of `docs/contract.md` 4.1.
@Suite struct ResendRequestTests {
    private func body() throws -> JSONObject {
        try jsonObject(
            """
            {"merchant_id":303,"start_time":"2026-03-24 08:00:00","end_time":"2026-03-24 11:00:00","status_ids":[3,6],
             "dry_run":true,"other":{"a":[1]}}
            """)
    }

    private func faults(_ path: String, _ value: String?) throws -> String {
        let reading = ResendRequest.read(try body().with(path, value))
        #expect((reading.request == nil) == !reading.faults.isEmpty)
        return rendered(reading.faults)
    }

    private static let window = ResendWindow(startSeconds: 1_774_339_200, endSeconds: 1_774_350_000)

    @Test func readsEveryField() throws {
        let reading = ResendRequest.read(try body())
        #expect(reading.faults.isEmpty)
        #expect(reading.merchantID == 303)
        let expected = ResendRequest(
            merchantID: 303, window: Self.window, statuses: [.paid, .canceled], dryRun: true)
        #expect(reading.request == expected)
    }

    // MARK: merchant_id

    @Test(arguments: [nil, "null"])
    func asksForTheMerchant(value: String?) throws {
        #expect(try faults("merchant_id", value) == #"{"merchant_id":["The merchant_id field is required."]}"#)
    }

    @Test(arguments: [#""303""#, #""""#, "303.0", "1e2", "303.5", "true", "[303]", "{}", "9223372036854775808"])
    func wantsAnIntegerMerchant(value: String) throws {
        #expect(try faults("merchant_id", value) == #"{"merchant_id":["The merchant_id field must be an integer."]}"#)
    }

    @Test(arguments: [Int64.min, -1, 0, 1, .max])
    func leavesItToTheCallerWhoseMerchantItIs(id: Int64) throws {
        #expect(ResendRequest.read(try body().with("merchant_id", "\(id)")).request?.merchantID == id)
    }

    @Test func namesTheMerchantOfAFaultyBody() throws {
        let reading = ResendRequest.read(try body().with("end_time", nil))
        #expect(reading.request == nil)
        #expect(reading.merchantID == 303)
    }

    // MARK: start_time, end_time

    @Test(arguments: ["start_time", "end_time"], [nil, "null", #""""#])
    func asksForBothTimes(key: String, value: String?) throws {
        #expect(try faults(key, value) == #"{"\#(key)":["The \#(key) field is required."]}"#)
    }

    @Test(arguments: ["start_time", "end_time"], ["1774339200", "true", "[]", "{}"])
    func wantsTexts(key: String, value: String) throws {
        #expect(try faults(key, value) == #"{"\#(key)":["The \#(key) field must be a string."]}"#)
    }

    static let misspelt = [
        "2026-03-24T08:00:00", "2026-03-24 08:00:00Z", "2026-03-24 08:00:00+00:00", "2026-03-24 08:00", "2026-03-24",
        "2026-02-30 08:00:00", "2026-03-24 24:00:00", "2026-03-24 08:00:60", "2026-3-24 8:00:00", " ",
        " 2026-03-24 08:00:00", "2026-03-24 08:00:00 ", "2026-03-24 08:00:00.000", "24/03/2026 08:00:00", "now",
    ]

    @Test(arguments: ["start_time", "end_time"], misspelt)
    func wantsRealTimesInTheFormat(key: String, text: String) throws {
        let expected = #"{"\#(key)":["The \#(key) field must match the format YYYY-MM-DD HH:MM:SS."]}"#
        #expect(try faults(key, "\"\(text)\"") == expected)
    }

    static let notAfter = #"{"end_time":["The end_time field must be after start_time."]}"#
    static let tooLong = #"{"end_time":["The time range must not exceed 3 hours."]}"#

    @Test(arguments: [
        ("2026-03-24 08:00:01", "{}"), ("2026-03-24 10:59:59", "{}"), ("2026-03-24 11:00:00", "{}"),
        ("2026-03-24 11:00:01", tooLong), ("2026-03-25 08:00:00", tooLong), ("9999-12-31 23:59:59", tooLong),
        ("2026-03-24 08:00:00", notAfter), ("2026-03-24 07:59:59", notAfter), ("0001-01-01 00:00:00", notAfter),
    ])
    func judgesTheRange(end: String, expected: String) throws {
        #expect(try faults("end_time", "\"\(end)\"") == expected)
    }

    /// Nothing here asks what time it is.
    @Test func mayLieInTheFuture() throws {
        let future = try body().with("start_time", #""9999-12-31 22:00:00""#).with(
            "end_time", #""9999-12-31 23:59:59""#)
        #expect(ResendRequest.read(future).request != nil)
    }

    @Test func mayCrossMidnight() throws {
        let body = try body().with("start_time", #""2024-02-29 22:30:00""#).with("end_time", #""2024-03-01 01:30:00""#)
        #expect(ResendRequest.read(body).request != nil)
        #expect(
            rendered(ResendRequest.read(try body.with("end_time", #""2024-03-01 01:30:01""#)).faults) == Self.tooLong)
    }

    @Test func judgesNoRangeUnlessBothTimesParse() throws {
        let reading = ResendRequest.read(
            try body().with("start_time", #""2026-03-24""#).with("end_time", #""2000-01-01 00:00:00""#))
        #expect(
            rendered(reading.faults)
                == #"{"start_time":["The start_time field must match the format YYYY-MM-DD HH:MM:SS."]}"#)
    }

    // MARK: status_ids

    @Test(arguments: [nil, "null"])
    func takesEveryNotifiableStatusByDefault(value: String?) throws {
        let request = try #require(ResendRequest.read(try body().with("status_ids", value)).request)
        #expect(request.statuses == [1, 3, 4, 5, 6, 10, 11])
    }

    @Test(arguments: ["[]", #""""#, #""3""#, "3", "{}", #"{"0":3}"#, "true", "false"])
    func wantsANonEmptyArray(value: String) throws {
        #expect(
            try faults("status_ids", value) == #"{"status_ids":["The status_ids field must be a non-empty array."]}"#)
    }

    @Test(arguments: [1, 3, 4, 5, 6, 10, 11] as [Int64])
    func takesNotifiableStatuses(id: Int64) throws {
        #expect(ResendRequest.read(try body().with("status_ids", "[\(id)]")).request?.statuses == [id])
    }

    @Test(arguments: [
        "3.0", "3e0", #""3""#, #""Paid""#, #""""#, "null", "true", "[3]", "{}", "9223372036854775811",
    ])
    func namesTheTypeOfWhatIsNoInteger(element: String) throws {
        #expect(
            try faults("status_ids", "[\(element)]")
                == #"{"status_ids.0":["The status_ids.0 field must be an integer."]}"#)
    }

    @Test(arguments: ["2", "7", "8", "9", "0", "12", "-3"])
    func refusesOtherElements(element: String) throws {
        #expect(
            try faults("status_ids", "[\(element)]") == #"{"status_ids.0":["The selected status is not notifiable."]}"#)
    }

    @Test func namesElementsByIndex() throws {
        #expect(
            try faults("status_ids", #"[3,2,6,"6",9,11,null]"#)
                == #"{"status_ids.1":["The selected status is not notifiable."],"#
                + #""status_ids.3":["The status_ids.3 field must be an integer."],"#
                + #""status_ids.4":["The selected status is not notifiable."],"#
                + #""status_ids.6":["The status_ids.6 field must be an integer."]}"#)
    }

    @Test func collapsesDuplicates() throws {
        let request = ResendRequest.read(try body().with("status_ids", "[3,6,3,3,6]")).request
        #expect(request?.statuses == [3, 6])
    }

    // MARK: dry_run

    @Test(
        arguments: [(nil, false), ("null", false), ("false", false), ("true", true)] as [(String?, Bool)])
    func readsDryRun(value: String?, dryRun: Bool) throws {
        #expect(ResendRequest.read(try body().with("dry_run", value)).request?.dryRun == dryRun)
    }

    @Test(arguments: ["1", "0", #""true""#, #""""#, "[]", "{}"])
    func wantsABoolean(value: String) throws {
        #expect(try faults("dry_run", value) == #"{"dry_run":["The dry_run field must be true or false."]}"#)
    }

    // MARK: All at once

    @Test func namesEverythingMissing() {
        let expected = ["merchant_id", "start_time", "end_time"].map { #""\#($0)":["The \#($0) field is required."]"# }
        #expect(rendered(ResendRequest.read(JSONObject()).faults) == "{" + expected.joined(separator: ",") + "}")
    }

    @Test func namesEveryFault() throws {
        let reading = ResendRequest.read(
            try jsonObject(
                """
                {"merchant_id":"303","start_time":"2026-03-24 08:00:00","end_time":"2026-03-24 08:00:00",
                 "status_ids":[3,7],
                 "dry_run":"yes"}
                """))
        #expect(
            rendered(reading.faults)
                == #"{"merchant_id":["The merchant_id field must be an integer."],"#
                + #""end_time":["The end_time field must be after start_time."],"#
                + #""status_ids.1":["The selected status is not notifiable."],"#
                + #""dry_run":["The dry_run field must be true or false."]}"#)
        #expect(reading.request == nil)
        #expect(reading.merchantID == nil)
    }

    @Test("another product is another entry of the table: its statuses, and no others")
    func anotherProduct() throws {
        let payin = ResendProduct(kind: .v2Payout, notifiable: [2, 3, 9])
        let asked = try body().with("status_ids", "[9, 2]")
        #expect(ResendRequest.read(asked, of: payin).request?.statuses == [9, 2])
        let all = try body().with("status_ids", "null")
        #expect(ResendRequest.read(all, of: payin).request?.statuses == [2, 3, 9])
        let foreign = try body().with("status_ids", "[6]")
        #expect(ResendRequest.read(foreign, of: payin).faults["status_ids.0"] != nil)
    }
}
