import ReenvioModel
import Testing

@Suite struct IPAddressTests {
    @Test(
        arguments: [
            ("0.0.0.0", 0), ("127.0.0.1", 0x7F00_0001), ("1.2.3.4", 0x0102_0304), ("255.255.255.255", 0xFFFF_FFFF),
        ] as [(String, UInt32)])
    func readsAndWritesIPv4(text: String, bits: UInt32) {
        #expect(IPAddress(text) == .v4(bits))
        #expect(IPAddress.v4(bits).description == text)
    }

    @Test(arguments: [
        "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.4.", ".1.2.3.4", "1..2.3", "1.2.3.256", "1.2.3.04", "01.2.3.4",
        "00.0.0.0", "0x1.2.3.4", "1.2.3.-4", "+1.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4/32", "1.2.3.4:80",
        "1.2.3.1000", "１.2.3.4", "1.2.3.4\n", "1.2.3.4\u{301}", "2130706433", "127.1", "0177.0.0.1", "1,2,3,4",
    ])
    func refusesOtherSpellingsOfIPv4(text: String) {
        #expect(IPAddress(text) == nil)
    }

    /// What is read, and how RFC 5952 writes it.
    @Test(arguments: [
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("0:0:0:0:0:0:0:0", "::"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("2001:0DB8:0000:0000:0000:0000:0000:00Ff", "2001:db8::ff"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("1:2:3::5:6:7:8", "1:2:3:0:5:6:7:8"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1:0:0:0:0:0:0:0", "1::"), ("1:0:0:4:5:0:0:0", "1:0:0:4:5::"),
        ("::1.2.3.4", "::102:304"), ("::0102:0304", "::102:304"), ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
        ("1::1.2.3.4", "1::102:304"), ("64:ff9b:1::1.2.3.4", "64:ff9b:1::102:304"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"), ("::FFFF:102:304", "::ffff:1.2.3.4"),
        ("0:0:0:0:0:ffff:0:0", "::ffff:0.0.0.0"), ("64:ff9b::102:304", "64:ff9b::1.2.3.4"),
        ("::ffff:0:1.2.3.4", "::ffff:0:102:304"), ("fd00:ec2::254", "fd00:ec2::254"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ])
    func readsAndWritesIPv6(text: String, canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == canonical)
        #expect(IPAddress(canonical) == address)
    }

    @Test(arguments: [
        ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8",
        "1::2::3", ":1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:", ":1", "1:", "::1:", ":1::", "1:::2", "::12345", "::00001",
        "::g", "::+1", "::-0", "::0x1", ":: 1", "::1 ", "::1%eth0", "fe80::1%25eth0", "[::1]", "::1/128",
        "1.2.3.4::", "1.2.3.4:1:2:3:4:5:6", "::1.2.3.4:5", "::1.2.3", "::1.2.3.256", "::01.2.3.4", "::1.2.3.4.5",
        "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:1.2.3.4", "1:2:3:4:5:6::1.2.3.4", "::１", "::1\u{301}",
    ])
    func refusesWhatIsNotIPv6(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func takesAndGivesBytesInNetworkOrder() {
        #expect(IPAddress(bytes: [192, 0, 2, 1]) == IPAddress("192.0.2.1"))
        #expect(IPAddress("192.0.2.1")?.bytes == [192, 0, 2, 1])
        #expect(IPAddress(bytes: 1...16) == IPAddress("102:304:506:708:90a:b0c:d0e:f10"))
        #expect(IPAddress("102:304:506:708:90a:b0c:d0e:f10")?.bytes == Array(1...16))
        for count in [0, 3, 5, 15, 17] {
            #expect(IPAddress(bytes: [UInt8](repeating: 1, count: count)) == nil)
        }
    }

    @Test(arguments: [
        ("::ffff:1.2.3.4", "1.2.3.4"), ("64:ff9b::1.2.3.4", "1.2.3.4"), ("1.2.3.4", "1.2.3.4"),
        ("::1.2.3.4", "::102:304"), ("64:ff9b:1::1.2.3.4", "64:ff9b:1::102:304"), ("::1", "::1"),
        ("2002:102:304::", "2002:102:304::"), ("::fffe:1.2.3.4", "::fffe:102:304"),
    ])
    func unwrapsMappedAndNAT64(text: String, unwrapped: String) throws {
        #expect(try #require(IPAddress(text)).unwrapped.description == unwrapped)
    }

    @Test func knowsLoopbackAndUnspecified() {
        let texts = ["0.0.0.0", "::", "127.0.0.1", "127.255.0.9", "::1", "128.0.0.1", "::2", "0.0.0.1"]
        let addresses = texts.compactMap { IPAddress($0) }
        #expect(addresses.filter(\.isUnspecified).map(\.description) == ["0.0.0.0", "::"])
        #expect(addresses.filter(\.isLoopback).map(\.description) == ["127.0.0.1", "127.255.0.9", "::1"])
    }
}

@Suite struct CIDRTests {
    @Test(arguments: [
        ("10.0.0.0/8", "10.0.0.0/8"), ("10.1.2.3/8", "10.0.0.0/8"), ("10.1.2.3", "10.1.2.3/32"),
        ("1.2.3.4/0", "0.0.0.0/0"), ("10.1.2.3/31", "10.1.2.2/31"), ("::1", "::1/128"),
        ("2001:db8:ffff::1/33", "2001:db8:8000::/33"), ("fe80::1/0", "::/0"), ("fd00::1/128", "fd00::1/128"),
    ])
    func readsAndWrites(text: String, canonical: String) throws {
        #expect(try #require(CIDR(text)).description == canonical)
    }

    @Test(arguments: [
        "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8",
        "10.0.0/8", "10.0.0.0 /8", "10.0.0.0/8 ", "::/129", "::/0128", "10.0.0.0/255.0.0.0", "localhost",
        "10.0.0.0/８",
    ])
    func refuses(text: String) {
        #expect(CIDR(text) == nil)
    }

    /// A block with its first and last address and its neighbours.
    @Test(arguments: [
        ("10.0.0.0/8", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"),
        ("172.16.9.9/12", "172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"),
        ("1.2.3.4", "1.2.3.4", "1.2.3.4", "1.2.3.3", "1.2.3.5"),
        ("0.0.0.0/0", "0.0.0.0", "255.255.255.255", "::", "::ffff:1.2.3.4"),
        ("fc00::/7", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fbff::", "fe00::"),
        ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0.0.0.0", "1.2.3.4"),
    ])
    func containsItsAddressesOnly(text: String, first: String, last: String, before: String, after: String) throws {
        let block = try #require(CIDR(text))
        #expect(block.contains(try #require(IPAddress(first))))
        #expect(block.contains(try #require(IPAddress(last))))
        #expect(!block.contains(try #require(IPAddress(before))))
        #expect(!block.contains(try #require(IPAddress(after))))
    }
}
