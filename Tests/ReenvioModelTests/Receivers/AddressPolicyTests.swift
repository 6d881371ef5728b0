import ReenvioModel
import Testing

@Suite struct AddressPolicyTests {
    /// A forbidden block by its ends, and its neighbours; nil where the neighbour is forbidden for another reason.
    struct Row: Sendable, CustomTestStringConvertible {
        let first, last: String
        let before, after: String?

        init(_ first: String, _ last: String, before: String?, after: String?) {
            self.first = first
            self.last = last
            self.before = before
            self.after = after
        }

        var testDescription: String { "\(first) to \(last)" }
    }

    static let v4: [Row] = [
        Row("0.0.0.0", "0.255.255.255", before: nil, after: "1.0.0.0"),
        Row("10.0.0.0", "10.255.255.255", before: "9.255.255.255", after: "11.0.0.0"),
        Row("100.64.0.0", "100.127.255.255", before: "100.63.255.255", after: "100.128.0.0"),
        Row("127.0.0.0", "127.255.255.255", before: "126.255.255.255", after: "128.0.0.0"),
        Row("169.254.0.0", "169.254.255.255", before: "169.253.255.255", after: "169.255.0.0"),
        Row("172.16.0.0", "172.31.255.255", before: "172.15.255.255", after: "172.32.0.0"),
        Row("192.0.0.0", "192.0.0.255", before: "191.255.255.255", after: "192.0.1.0"),
        Row("192.0.2.0", "192.0.2.255", before: "192.0.1.255", after: "192.0.3.0"),
        Row("192.88.99.0", "192.88.99.255", before: "192.88.98.255", after: "192.88.100.0"),
        Row("192.168.0.0", "192.168.255.255", before: "192.167.255.255", after: "192.169.0.0"),
        Row("198.18.0.0", "198.19.255.255", before: "198.17.255.255", after: "198.20.0.0"),
        Row("198.51.100.0", "198.51.100.255", before: "198.51.99.255", after: "198.51.101.0"),
        Row("203.0.113.0", "203.0.113.255", before: "203.0.112.255", after: "203.0.114.0"),
        Row("224.0.0.0", "239.255.255.255", before: "223.255.255.255", after: nil),
        Row("240.0.0.0", "255.255.255.255", before: nil, after: nil),
    ]

    static let v6: [Row] = [
        Row("::", "::ffff:ffff", before: nil, after: nil),
        Row("::1:0:0", full("1fff"), before: nil, after: "2000::"),
        Row("64:ff9b::1:0:0", full("64:ff9b:1"), before: nil, after: nil),
        Row("100::", "100::ffff:ffff:ffff:ffff", before: nil, after: nil),
        Row("2001::", full("2001:1ff"), before: full("2000"), after: "2001:200::"),
        Row("2001:db8::", full("2001:db8"), before: full("2001:db7"), after: "2001:db9::"),
        Row("2002::", full("2002"), before: full("2001"), after: "2003::"),
        Row("3fff::", full("3fff:fff"), before: full("3ffe"), after: "3fff:1000::"),
        Row("4000::", full("ffff"), before: full("3fff"), after: nil),
        Row("5f00::", full("5f00"), before: nil, after: nil),
        Row("fc00::", full("fdff"), before: nil, after: nil),
        Row("fe80::", full("febf"), before: nil, after: nil),
        Row("fec0::", full("feff"), before: nil, after: nil),
        Row("ff00::", full("ffff"), before: nil, after: nil),
    ]

    @Test(arguments: v4)
    func forbidsEveryIPv4RowInEveryForm(row: Row) throws {
        for form in ["", "::ffff:", "64:ff9b::"] {
            try expect(row, form: form)
        }
    }

    @Test(arguments: v6)
    func forbidsEveryIPv6Row(row: Row) throws {
        try expect(row, form: "")
    }

    @Test(arguments: [
        "::1", "::7f00:1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:20::1", "2002:7f00:1::",
        "fd00:ec2::254", "fe80::1", "ff02::1", "::ffff:7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808",
    ])
    func forbids(text: String) throws {
        #expect(!AddressPolicy().permits(try address(text), port: 443))
    }

    @Test(arguments: [
        "1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::200e", "::ffff:8.8.8.8",
        "64:ff9b::808:808", "2000::1", "3fff:1000::1",
    ])
    func permitsPublicAddresses(text: String) throws {
        #expect(AddressPolicy().permits(try address(text), port: 443))
        #expect(AddressPolicy().permits(try address(text), port: 1))
    }

    @Test func letsListedBlocksThroughAndNothingElse() throws {
        let policy = AddressPolicy(allowed: try blocks("127.0.0.0/8", "10.1.0.0/16", "fd00::/8", "::1"))
        for text in [
            "127.0.0.1", "127.9.9.9", "10.1.255.255", "fd12::1", "::1", "::ffff:127.0.0.1", "64:ff9b::10.1.2.3",
            "8.8.8.8",
        ] {
            #expect(policy.permits(try address(text), port: 443), "\(text)")
        }
        for text in ["10.2.0.0", "10.0.255.255", "192.168.0.1", "fc00::1", "::2", "::127.0.0.1", "2002:7f00:1::"] {
            #expect(!policy.permits(try address(text), port: 443), "\(text)")
        }
    }

    @Test("what is denied stays so, whatever is allowed and however it is written")
    func denies() throws {
        let policy = AddressPolicy(
            allowed: try blocks("127.0.0.0/8", "203.0.113.0/24", "2a00::/16"),
            denied: try blocks("93.184.216.0/24", "203.0.113.7", "2a00:1450::/32", "127.0.0.2"))
        for text in [
            "93.184.216.34", "::ffff:93.184.216.34", "64:ff9b::93.184.216.34", "203.0.113.7", "2a00:1450:4001::200e",
            "127.0.0.2",
        ] {
            #expect(!policy.permits(try address(text), port: 443), "\(text)")
        }
        for text in ["93.184.217.1", "203.0.113.8", "2a00:1451::1", "127.0.0.1", "8.8.8.8"] {
            #expect(policy.permits(try address(text), port: 443), "\(text)")
        }
    }

    @Test("public addresses have the listed ports, allowed blocks any")
    func ports() throws {
        let policy = AddressPolicy(allowed: try blocks("127.0.0.0/8"), ports: [443, 8443])
        for (text, port, isPermitted) in [
            ("8.8.8.8", 443, true), ("8.8.8.8", 8443, true), ("8.8.8.8", 22, false), ("::ffff:8.8.8.8", 25, false),
            ("2a00:1450:4001::200e", 9200, false), ("127.0.0.1", 6379, true), ("10.0.0.1", 443, false),
        ] as [(String, UInt16, Bool)] {
            #expect(policy.permits(try address(text), port: port) == isPermitted, "\(text) \(port)")
        }
        #expect(policy.mayPermit(port: 22), "a name may stand for an address that is allowed")
        #expect(!AddressPolicy(ports: [443]).mayPermit(port: 22) && AddressPolicy(ports: [443]).mayPermit(port: 443))
        #expect(AddressPolicy().mayPermit(port: 22))
    }

    /// A block of disguised IPv4 addresses lets none through: list the IPv4 addresses themselves.
    @Test func judgesAllowedBlocksByTheAddressInsideToo() throws {
        let policy = AddressPolicy(allowed: try blocks("::ffff:0:0/96", "64:ff9b::/96", "::ffff:10.0.0.1"))
        for text in ["10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "::ffff:169.254.169.254"] {
            #expect(!policy.permits(try address(text), port: 443), "\(text)")
        }
    }

    @Test(arguments: ["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"])
    func forbidsTheIPv4MetadataAddressUnlessListedExactly(text: String) throws {
        let metadata = try address(text)
        for wide in ["0.0.0.0/0", "169.254.0.0/16", "169.254.169.254/31"] {
            let policy = AddressPolicy(allowed: try blocks(wide, "::/0"))
            #expect(!policy.permits(metadata, port: 80), "\(wide)")
            #expect(policy.permits(try address("169.254.169.255"), port: 80), "\(wide)")
        }
        for exact in ["169.254.169.254", "169.254.169.254/32"] {
            #expect(AddressPolicy(allowed: try blocks(exact)).permits(metadata, port: 80), "\(exact)")
        }
    }

    @Test func forbidsTheIPv6MetadataAddressUnlessListedExactly() throws {
        let metadata = try address("fd00:ec2::254")
        for wide in ["::/0", "fd00::/8", "fd00:ec2::254/127"] {
            let policy = AddressPolicy(allowed: try blocks(wide))
            #expect(!policy.permits(metadata, port: 80), "\(wide)")
            #expect(policy.permits(try address("fd00:ec2::255"), port: 80), "\(wide)")
        }
        #expect(AddressPolicy(allowed: try blocks("fd00:ec2::254")).permits(metadata, port: 80))
    }

    @Test func neverPermitsItsOwnEndpoint() throws {
        let policy = AddressPolicy(
            allowed: try blocks("127.0.0.0/8", "0.0.0.0/8", "::/127"),
            own: [(try address("127.0.0.1"), 8080), (try address("93.184.216.34"), 443)])
        for text in ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "0.0.0.0", "::"] {
            #expect(!policy.permits(try address(text), port: 8080), "\(text)")
            #expect(policy.permits(try address(text), port: 8081), "\(text)")
        }
        #expect(policy.permits(try address("127.0.0.2"), port: 8080))
        #expect(policy.permits(try address("::1"), port: 8080))
        #expect(!policy.permits(try address("93.184.216.34"), port: 443))
        #expect(policy.permits(try address("93.184.216.34"), port: 8443))
    }

    @Test(arguments: ["0.0.0.0", "::", "::ffff:0.0.0.0"])
    func aWildcardListenerOwnsEveryLoopbackAddress(listen: String) throws {
        let policy = AddressPolicy(
            allowed: try blocks("127.0.0.0/8", "0.0.0.0", "::/127"), own: [(try address(listen), 8080)])
        for text in ["127.0.0.1", "127.3.2.1", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"] {
            #expect(!policy.permits(try address(text), port: 8080), "\(text)")
            #expect(policy.permits(try address(text), port: 8081), "\(text)")
        }
        #expect(policy.permits(try address("8.8.8.8"), port: 8080))
    }

    private func expect(_ row: Row, form: String) throws {
        let policy = AddressPolicy()
        for text in [row.first, row.last] {
            #expect(!policy.permits(try address(form + text), port: 443), "\(form)\(text)")
        }
        for text in [row.before, row.after].compactMap({ $0 }) {
            #expect(policy.permits(try address(form + text), port: 443), "\(form)\(text)")
        }
    }

    private func address(_ text: String) throws -> IPAddress {
        try #require(IPAddress(text), "\(text)")
    }

    private func blocks(_ texts: String...) throws -> [CIDR] {
        try texts.map { try #require(CIDR($0), "\($0)") }
    }

    /// The last address that begins with these groups.
    private static func full(_ groups: String) -> String {
        groups + String(repeating: ":ffff", count: 8 - groups.split(separator: ":").count)
    }
}
