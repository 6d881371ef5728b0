import ReenvioModel
import Testing

@Suite struct ReceiverURLTests {
    @Test(arguments: [
        ("https://a.example", "https://a.example:443", "a.example", "/"),
        ("https://a.example/", "https://a.example:443", "a.example", "/"),
        ("HTTPS://A.Example/Path", "https://a.example:443", "a.example", "/Path"),
        ("https://a.example:443/x", "https://a.example:443", "a.example", "/x"),
        ("https://a.example:8443/x", "https://a.example:8443", "a.example:8443", "/x"),
        ("https://a.example:65535", "https://a.example:65535", "a.example:65535", "/"),
        ("https://a.example:1", "https://a.example:1", "a.example:1", "/"),
        ("https://a.example?q=1", "https://a.example:443", "a.example", "/?q=1"),
        ("https://a.example/p?q=a@b:c/d?e", "https://a.example:443", "a.example", "/p?q=a@b:c/d?e"),
        ("https://a.example/p#top", "https://a.example:443", "a.example", "/p"),
        ("https://a.example#top/x?y", "https://a.example:443", "a.example", "/"),
        ("https://a.example/@b", "https://a.example:443", "a.example", "/@b"),
        ("https://a.example#@b", "https://a.example:443", "a.example", "/"),
        ("https://a.example//x/../y", "https://a.example:443", "a.example", "//x/../y"),
        ("https://a.example/%0d%0aX:%20y", "https://a.example:443", "a.example", "/%0d%0aX:%20y"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example:443", "xn--bcher-kva.example", "/"),
        ("https://a_b-c.0x7.example1", "https://a_b-c.0x7.example1:443", "a_b-c.0x7.example1", "/"),
        ("https://1.2.3.4.example", "https://1.2.3.4.example:443", "1.2.3.4.example", "/"),
        ("https://1.2.3.0xg", "https://1.2.3.0xg:443", "1.2.3.0xg", "/"),
        ("https://intern", "https://intern:443", "intern", "/"),
        ("https://internal.example", "https://internal.example:443", "internal.example", "/"),
        ("https://notinternal", "https://notinternal:443", "notinternal", "/"),
        ("https://notlocalhost", "https://notlocalhost:443", "notlocalhost", "/"),
        ("https://8.8.8.8:8443/x", "https://8.8.8.8:8443", "8.8.8.8:8443", "/x"),
        ("https://[2606:4700::0:1111]/x", "https://[2606:4700::1111]:443", "[2606:4700::1111]", "/x"),
        ("https://[::ffff:8.8.8.8]:1/", "https://[::ffff:8.8.8.8]:1", "[::ffff:8.8.8.8]:1", "/"),
    ])
    func takesApart(text: String, origin: String, hostHeader: String, target: String) throws {
        let url = try ReceiverURL(parsing: text, policy: AddressPolicy())
        #expect(url.origin == origin)
        #expect(url.hostHeader == hostHeader)
        #expect(url.target == target)
        #expect(url.text == text)
    }

    @Test func keepsHostsByKind() throws {
        let policy = AddressPolicy()
        #expect(try ReceiverURL(parsing: "https://A.b", policy: policy).host == .name("a.b"))
        #expect(try ReceiverURL(parsing: "https://8.8.4.4", policy: policy).host == .address(.v4(0x0808_0404)))
        let v6 = try ReceiverURL(parsing: "https://[2606:4700::1]", policy: policy)
        #expect(v6.host == .address(try #require(IPAddress("2606:4700::1"))))
        #expect(v6.scheme == .https)
        #expect(v6.port == 443)
    }

    @Test(arguments: [
        "", "/", "a.example", "https", "//a.example", "https:", "https:/", "https:a.example", "https:/a.example",
        "é", "é.example/hook",
    ])
    func refusesWhatIsNoAbsoluteURL(text: String) {
        #expect(fault(text) == .malformed)
    }

    @Test(arguments: [
        " ", " https://a.example", "https://a.example ", "https://a.example/ x", "https://a.example\t",
        "https://a\t.example", "https://a.example/\r\nX: y", "https://a.example/\n", "https://a.example/\u{0}",
        "https://a.example/\u{7F}", "https://a.example/\u{2028}", "https://a.example/\u{85}",
        "https://a.example/\u{A0}",
        "https://a\u{3000}.example", "https://a.example\\@b.example", "https:\\\\a.example", "https://a.example/\\x",
    ])
    func refusesBlanksOfEveryScriptAndBackslashes(text: String) {
        #expect(fault(text) == .blanks)
    }

    @Test(arguments: [
        "https://", "https:///", "https:///a.example", "https://?q", "https://#f", "https://:443", "https://:443/",
    ])
    func refusesAMissingHost(text: String) {
        #expect(fault(text) == .hostMissing)
    }

    @Test(arguments: [
        "https://a%2eexample", "https://%31%32%37.0.0.1", "https://a.example%00.b", "https://a.example%2f",
        "https://caf%C3%A9.example", "https://a.example.", "https://localhost.", "https://127.0.0.1.",
        "https://8.8.8.8.", "https://.a.example", "https://a..example", "https://.", "https://a!b.example",
        "https://a,b.example", "https://a*b", "https://$a.b", "https://a.example;x", "https://a|b",
        "https://{a}.example", "https://<a>", "https://a.ex~mple", "https://é.example.", "https://é。。example",
        "https://a。", "https://a\u{200D}é.example", "https://caf\u{AD}é.example", "https://a\u{200B}é.example",
        "https://\u{202E}é.example", "https://\u{301}a.example", "https://℀.example", "https://é!.example",
        "https://xn--é.example", "https://éé--é.example", "https://-é.example", "https://é-.example",
        "https://é＠b.example",
        "https://é／b.example", "https://\u{115F}é.example", "https://é\u{FE0F}.example", "https://éa：8443/",
    ])
    func refusesOtherSpellingsOfAHost(text: String) {
        #expect(fault(text) == .hostSpelling)
    }

    /// Hosts in other scripts, as resolvers know them; the same receiver as the A-label itself.
    @Test(arguments: [
        ("café.example", "xn--caf-dma.example"), ("CAFÉ.Example", "xn--caf-dma.example"),
        ("cafe\u{301}.example", "xn--caf-dma.example"), ("ｃａｆé．ｅｘａｍｐｌｅ", "xn--caf-dma.example"),
        ("bücher.example", "xn--bcher-kva.example"), ("faß.de", "xn--fa-hia.de"), ("FAẞ.de", "xn--fa-hia.de"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"), ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("例え｡テスト", "xn--r8jz45g.xn--zckzah"), ("a。example", "a.example"), ("ⓐ.example", "a.example"),
        ("ﬁx.example", "fix.example"), ("mañana.com", "xn--maana-pta.com"), ("ñ.example", "xn--ida.example"),
        ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"), ("한국.kr", "xn--3e0b707e.kr"), ("😀.ws", "xn--e28h.ws"),
        ("عربي.de", "xn--ngbrx4e.de"), ("ليهمابتكلموشعربي.example", "xn--mgbcah9ar9a4efegftvvn.example"),
        ("Bahnhof-Übersicht.example", "xn--bahnhof-bersicht-qzb.example"),
        ("xn--caf-dma.example", "xn--caf-dma.example"),
        ("são-paulo.pagamentos.example", "xn--so-paulo-rza.pagamentos.example"),
    ])
    func turnsHostsIntoALabels(host: String, ascii: String) throws {
        let text = "https://\(host):8443/hook"
        let url = try ReceiverURL(parsing: text, policy: AddressPolicy())
        #expect(url.host == .name(ascii))
        #expect(url.origin == "https://\(ascii):8443")
        #expect(url.hostHeader == "\(ascii):8443")
        #expect(url.text == text)
    }

    /// What a mapped host means is what is judged.
    @Test(arguments: [
        ("ｌｏｃａｌｈｏｓｔ", ReceiverURLFault.forbiddenHost), ("é.ｌｏｃａｌｈｏｓｔ", .forbiddenHost),
        ("a。internal", .forbiddenHost), ("ｉｎｔｅｒｎａｌ", .forbiddenHost), ("１２７．０．０．１", .hostSpelling),
        ("８.８.８.８", .hostSpelling), ("0ｘ7f.1", .hostSpelling), ("[::１]", .hostSpelling), ("é.1", .hostSpelling),
    ])
    func judgesWhatAHostMeans(host: String, expected: ReceiverURLFault) {
        #expect(fault("https://\(host)/") == expected)
    }

    @Test(arguments: [
        ("/é", "/%C3%A9"), ("/ação?q=não#x", "/a%C3%A7%C3%A3o?q=n%C3%A3o"), ("?q=é", "/?q=%C3%A9"),
        ("/a%C3%A9b", "/a%C3%A9b"), ("/a%c3b", "/a%c3b"), ("/100%", "/100%25"), ("/100%zz", "/100%25zz"),
        ("/%", "/%25"), ("/%4", "/%254"), (#"/"<>[]^`{|}"#, "/%22%3C%3E%5B%5D%5E%60%7B%7C%7D"),
        ("/hooks?tags[]=a", "/hooks?tags%5B%5D=a"), ("/😀", "/%F0%9F%98%80"),
        ("/a:b@c!$&'()*+,;=~-._", "/a:b@c!$&'()*+,;=~-._"),
        ("/x?a=b?c/d", "/x?a=b?c/d"), ("/\u{202E}", "/%E2%80%AE"),
    ])
    func encodesPathAndQuery(given: String, sent: String) throws {
        let text = "https://a.example\(given)"
        let url = try ReceiverURL(parsing: text, policy: AddressPolicy())
        #expect(url.target == sent)
        #expect(url.text == text)
    }

    @Test func saysWhatIsWrong() {
        let rules = ReceiverURLFault.allCases.map(\.rule)
        #expect(Set(rules).count == rules.count - 1, "a private name and a private address have one text")
        #expect(ReceiverURLFault.userInfo.rule == "must not contain user info")
        #expect(ReceiverURLFault.forbiddenAddress.rule == "must be an https URL with a public host")
    }

    /// Spellings that some resolver takes for an address, public ones included.
    @Test(arguments: [
        "2130706433", "017700000001", "0x7f000001", "0x7F.1", "0X7f.0x1", "127.1", "127.0.1", "0177.0.0.1",
        "0x7f.0.0.1", "127.0.0.01", "127.0.0.0x1", "0x", "0x.0x", "a.0x", "a.1", "a.0x1f", "1.2.3", "1.2.3.4.5",
        "256.1.1.1", "8.8.8.256", "08.8.8.8", "8.8.8.08", "8.8.2056", "134744072", "00000000010.8.8.8", "0.0.0.0.0",
        "4294967296", "example.99999999999", "１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "٣.0.0.1", "%127.0.0.1",
        "+127.0.0.1",
    ])
    func refusesAddressesInDisguise(host: String) {
        #expect(fault("https://\(host)/") == .hostSpelling)
        #expect(fault("https://\(host):8443") == .hostSpelling)
    }

    @Test(arguments: [
        "[]", "[", "]", "[::1", "[[::1]]", "[::1]x", "[::1]8080", "[8.8.8.8]", "[a.example]", "[2606:4700::1%eth0]",
        "[2606:4700::1%25eth0]", "[fe80::1%1]", "[v1.x]", "[2606:4700::1::2]", "[2606:4700::g]", "[ ::1]", "a[::1]",
        "[::ffff:0177.0.0.1]", "[::ffff:127.1]", "::1]",
    ])
    func refusesMalformedBrackets(host: String) {
        let other: ReceiverURLFault = host.first == ":" ? .hostMissing : .hostSpelling
        #expect(fault("https://\(host)/") == (host.contains(" ") ? .blanks : other))
    }

    @Test(arguments: [
        "http://a.example", "HTTP://a.example", "ftp://a.example", "file:///etc/passwd", "gopher://a.example:70/_x",
        "javascript:alert(1)", "data:,x", "ws://a.example", "wss://a.example", "httpss://a.example", "a.example:443/x",
        "://a.example", "https+unix://a.example", "unix:/x",
    ])
    func refusesEverySchemeButHTTPS(text: String) {
        #expect(fault(text) == .notHTTPS)
    }

    @Test(arguments: [
        "https://user@a.example", "https://user:password@a.example/", "https://@a.example", "https://:@a.example",
        "https://a.example@b.example", "https://a.example:443@b.example", "https://a@b@c.example",
        "https://8.8.8.8@[::1]", "https://a.example%40@b.example", "https://@",
    ])
    func refusesUserInfo(text: String) {
        #expect(fault(text) == .userInfo)
    }

    @Test(arguments: [
        "0", "00", "000443", "0443", "65536", "99999", "443443", "18446744073709551616", "", "x", "44x", "-1", "+443",
        "4 3", "0x1bb", "443:443", ":443", "%34%34%33",
    ])
    func refusesOtherPorts(port: String) {
        let expected: ReceiverURLFault = port.contains(" ") ? .blanks : .port
        #expect(fault("https://a.example:\(port)/x") == expected)
        #expect(fault("https://[2606:4700::1]:\(port)") == expected)
    }

    @Test(arguments: [
        "localhost", "LOCALHOST", "LocalHost:8443", "a.localhost", "a.b.LOCALHOST", "internal", "INTERNAL:1",
        "metadata.google.internal", "a.Internal",
    ])
    func refusesLocalNames(host: String) {
        #expect(fault("https://\(host)/x") == .forbiddenHost)
    }

    @Test(arguments: [
        "127.0.0.1", "127.0.0.1:8443", "0.0.0.0", "10.1.2.3", "169.254.169.254", "192.168.1.1", "255.255.255.255",
        "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:FFFF:10.0.0.1]", "[64:ff9b::10.0.0.1]",
        "[::127.0.0.1]", "[fd00:ec2::254]", "[fe80::1]", "[2002:7f00:1::]", "[2001:db8::1]",
    ])
    func refusesForbiddenAddresses(host: String) {
        #expect(fault("https://\(host)/x") == .forbiddenAddress)
    }

    @Test func aSwitchAllowsHTTP() throws {
        let policy = AddressPolicy(allowHTTP: true)
        let url = try ReceiverURL(parsing: "http://a.example/x", policy: policy)
        #expect(url.scheme == .http)
        #expect(url.origin == "http://a.example:80")
        #expect(url.hostHeader == "a.example")
        #expect(try ReceiverURL(parsing: "http://a.example:443", policy: policy).hostHeader == "a.example:443")
        #expect(try ReceiverURL(parsing: "https://a.example:80", policy: policy).hostHeader == "a.example:80")
        #expect(fault("ftp://a.example", policy: policy) == .notHTTPS)
        #expect(fault("http://localhost", policy: policy) == .forbiddenHost)
        #expect(fault("http://10.0.0.1", policy: policy) == .forbiddenAddress)
    }

    @Test(arguments: ["127.0.0.0/8", "127.0.0.1", "::1", "::/0"])
    func localhostPassesWhereLoopbackIsAllowed(block: String) throws {
        let policy = AddressPolicy(allowed: [try #require(CIDR(block))])
        #expect(try ReceiverURL(parsing: "https://LocalHost:8443", policy: policy).origin == "https://localhost:8443")
        for host in ["a.localhost", "internal", "a.internal", "10.0.0.1", "127.1"] {
            #expect(fault("https://\(host)", policy: policy) != nil, "\(host)")
        }
    }

    @Test("a port that no address can have is refused with the URL")
    func judgesPorts() throws {
        let policy = AddressPolicy(ports: [443, 8443])
        #expect(fault("https://a.example:8443", policy: policy) == nil)
        #expect(fault("https://a.example:22", policy: policy) == .forbiddenPort)
        #expect(fault("https://8.8.8.8:22", policy: policy) == .forbiddenAddress)
        let listed = AddressPolicy(allowed: [try #require(CIDR("127.0.0.0/8"))], ports: [443])
        #expect(fault("https://a.example:22", policy: listed) == nil, "judged when it is dialled")
        #expect(fault("https://127.0.0.1:22", policy: listed) == nil)
        #expect(fault("https://8.8.8.8:22", policy: listed) == .forbiddenAddress)
    }

    @Test func localhostIsNotThisServer() throws {
        let loopback = try #require(IPAddress("127.0.0.1"))
        let policy = AddressPolicy(allowed: [try #require(CIDR("127.0.0.0/8"))], own: [(loopback, 8080)])
        #expect(fault("https://localhost:8080", policy: policy) == .forbiddenHost)
        #expect(fault("https://127.0.0.1:8080", policy: policy) == .forbiddenAddress)
        #expect(fault("https://localhost:8081", policy: policy) == nil)
        #expect(fault("https://127.0.0.1:8081", policy: policy) == nil)
    }

    @Test func boundsTheLengthsOfNames() {
        let label = String(repeating: "a", count: 63)
        let name = "\(label).\(label).\(label)."
        #expect(fault("https://\(label).example") == nil)
        #expect(fault("https://a\(label).example") == .hostSpelling)
        #expect(fault("https://\(name)\(label.dropFirst(2))") == nil)
        #expect(fault("https://\(name)\(label.dropFirst())") == .hostSpelling)
        #expect(fault("https://\(String(repeating: "é", count: 56)).example") == nil)
        #expect(fault("https://\(String(repeating: "é", count: 80)).example") == .hostSpelling)
    }

    /// Whatever is accepted holds nothing that could end a request line or a header.
    @Test func partsAreVisibleASCII() {
        for code in UInt8.min...UInt8.max {
            // And the scripts beyond: a sample of each block.
            let scalars = [Unicode.Scalar(code), Unicode.Scalar(UInt32(code) * 257 % 0xD800) ?? "é"]
            for text in scalars.map({ Character($0) }).flatMap({ character in
                [
                    "https://a\(character)b.example/", "https://a.example/a\(character)b",
                    "https://a.example?\(character)",
                ]
            }) {
                guard let url = try? ReceiverURL(parsing: text, policy: AddressPolicy()) else { continue }
                #expect((url.target + url.hostHeader + url.origin).utf8.allSatisfy { 0x21...0x7E ~= $0 }, "\(code)")
            }
        }
    }

    private func fault(_ text: String, policy: AddressPolicy = AddressPolicy()) -> ReceiverURLFault? {
        do throws(ReceiverURLFault) {
            _ = try ReceiverURL(parsing: text, policy: policy)
            return nil
        } catch {
            return error
        }
    }
}
