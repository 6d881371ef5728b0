import ReenvioModel
import Testing

/// URLs at another origin (`docs/contract.md` 13.16).
@Suite struct OriginMoveTests {
    private func parse(_ members: String, policy: AddressPolicy = AddressPolicy()) throws -> OriginMove {
        try OriginMove.parse(try jsonObject("{\(members)}"), merchantID: 303, policy: policy)
    }

    @Test(arguments: [
        ("https://old.example/hook?a=1&b=2", "https://new.example:8443/hook?a=1&b=2"),
        ("https://old.example", "https://new.example:8443"), ("https://old.example/", "https://new.example:8443/"),
        ("https://old.example?x=https://old.example/", "https://new.example:8443?x=https://old.example/"),
        ("https://OLD.example:443/a/../b#top", "https://new.example:8443/a/../b#top"),
        ("http://[2001:db8::1]:8080/p", "https://new.example:8443/p"),
        ("https://old.example/a%2Fb/%C3%A9", "https://new.example:8443/a%2Fb/%C3%A9"),
    ])
    func keepsWhatFollowsTheOrigin(url: String, expected: String) throws {
        #expect(try parse(#""from":"https://old.example","to":"https://new.example:8443""#).moved(url) == expected)
    }

    @Test func leavesOutWhatWouldBeTooLong() throws {
        let move = try parse(#""from":"https://a.example","to":"https://a-much-longer-name.example""#)
        let path = String(repeating: "x", count: 255 - "https://a.example/".count)
        #expect(move.moved("https://a.example/" + path) == nil)
        #expect(move.moved("https://a.example/" + path.dropFirst(17)) != nil)
    }

    /// The old origin may be what the rules refuse today; the new one is judged like a new URL.
    @Test func judgesTheNewOriginOnly() throws {
        for old in ["http://10.0.0.1", "https://localhost:8443", "http://shop.example"] {
            #expect(try parse(#""from":"\#(old)","to":"https://new.example""#).to.origin == "https://new.example:443")
        }
        for new in [
            "http://new.example", "https://10.0.0.1", "https://localhost", "https://user@new.example", "new.example",
            "https://new.example:0",
        ] {
            let error = try #require(throws: Faults.self) {
                try parse(#""from":"https://old.example","to":"\#(new)""#)
            }
            #expect(error["to"] != nil)
        }
    }

    @Test(arguments: [
        (#""to":"https://b.example""#, "from"), (#""from":"https://a.example""#, "to"),
        (#""from":"https://a.example/x","to":"https://b.example""#, "from"),
        (#""from":"https://a.example","to":"https://b.example/?y""#, "to"),
        (#""from":"https://a.example","to":"https://b.example#z""#, "to"),
        (#""from":"https://a.example","to":"https://A.example:443/""#, "to"),
        (#""from":"https://a.example","to":"https://b.example","cursor":"?""#, "cursor"),
        (#""from":"https://a.example","to":"https://b.example","dry_run":"yes""#, "dry_run"),
    ])
    func namesWhatIsWrong(members: String, field: String) throws {
        let error = try #require(throws: Faults.self) { try parse(members) }
        #expect(error.entries.map(\.field) == [field])
    }
}
