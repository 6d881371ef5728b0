import ReenvioModel
import Testing

/// `docs/contract.md` 13.5 to 13.7 and 13.14: what a body may ask for.
@Suite struct ResendOptionsTests {
    private func body() throws -> JSONObject {
        try jsonObject(
            """
            {"merchant_id":303,"start_time":"2026-03-24 08:00:00","end_time":"2026-03-24 11:00:00"}
            """)
    }

    private func faults(_ path: String, _ value: String) throws -> String {
        rendered(ResendRequest.read(try body().with(path, value)).faults)
    }

    @Test func nothingIsAskedForByDefault() throws {
        let request = try #require(ResendRequest.read(try body()).request)
        #expect(request.options == ResendOptions())
        #expect(!request.explains)
        #expect(request.options.auditText.isEmpty)
    }

    @Test func readsWhatIsAskedFor() throws {
        let object = try body().with("only_unacknowledged", "true").with("max_per_second", "50")
            .with("canary", "20").with("explain", "true")
        let request = try #require(ResendRequest.read(object).request)
        #expect(request.options == ResendOptions(onlyUnacknowledged: true, maxPerSecond: 50, canary: 20))
        #expect(request.explains)
        #expect(request.options.auditText == ", only unacknowledged, at most 50 per second, canary 20")
    }

    @Test(arguments: ["only_unacknowledged", "max_per_second", "canary", "explain"])
    func nullIsAbsent(key: String) throws {
        let request = try #require(ResendRequest.read(try body().with(key, "null")).request)
        #expect(request.options == ResendOptions())
    }

    @Test(arguments: ["only_unacknowledged", "explain"], [#""true""#, "1", "[]", "{}"])
    func wantsTrueOrFalse(key: String, value: String) throws {
        #expect(try faults(key, value) == #"{"\#(key)":["The \#(key) field must be true or false."]}"#)
    }

    @Test(arguments: ["max_per_second", "canary"], [#""5""#, "5.0", "1e1", "true", "[5]"])
    func wantsAnInteger(key: String, value: String) throws {
        #expect(try faults(key, value) == #"{"\#(key)":["The \#(key) field must be an integer."]}"#)
    }

    @Test(arguments: [("max_per_second", 10_000), ("canary", 1_000)])
    func isBounded(key: String, max: Int) throws {
        for value in [Int64(0), -1, Int64(max) + 1, .max] {
            let text = "The \(key) field must be between 1 and \(max)."
            #expect(try faults(key, "\(value)") == #"{"\#(key)":["\#(text)"]}"#)
        }
        for value in [1, max] { #expect(try faults(key, "\(value)") == "{}") }
    }

    @Test func everyFaultIsToldAtOnce() throws {
        let reading = ResendRequest.read(
            try body().with("only_unacknowledged", "1").with("max_per_second", "0").with("canary", "1001"))
        #expect(reading.faults.entries.map(\.field) == ["only_unacknowledged", "max_per_second", "canary"])
    }

    @Test func theOtherDialectTakesAPace() throws {
        let object = try jsonObject(#"{"resend_type":"CASHOUT","object_reference_id":7}"#)
        #expect(try ResendLogRequest.parse(object).maxPerSecond == nil)
        #expect(try ResendLogRequest.parse(object.with("max_per_second", "5")).maxPerSecond == 5)
        #expect(throws: Faults.self) { try ResendLogRequest.parse(object.with("max_per_second", "0")) }
    }
}
