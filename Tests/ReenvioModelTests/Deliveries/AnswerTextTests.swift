import Foundation
import ReenvioModel
import Testing

/// Answers as text for people (`docs/contract.md` 13.10).
@Suite struct AnswerTextTests {
    private static let error = #"{"error":"not today","detail":"the ledger is closed"}"#

    private func text(
        _ raw: [UInt8], _ contentType: String? = nil, codings: [String] = [], atMost limit: Int = 1_000
    ) -> String {
        String(
            decoding: AnswerText.bytes(of: raw, contentType: contentType, codings: codings, atMost: limit),
            as: UTF8.self)
    }

    @Test(arguments: [
        (["gzip"], "H4sIAAAAAAACA6tWSi0qyi9SslLKyy9RKMlPSaxU0lFKSS1JzMwBCpZkpCrkpKakpxYpZBYrJOfkF6emKNUCAJoqT0k1AAAA"),
        (
            ["x-gzip"],
            "H4sIAAAAAAACA6tWSi0qyi9SslLKyy9RKMlPSaxU0lFKSS1JzMwBCpZkpCrkpKakpxYpZBYrJOfkF6emKNUCAJoqT0k1AAAA"
        ),
        // With a file name in its header.
        (
            ["identity", "gzip"],
            "H4sICAAAAAAC/3gudHh0AKtWSi0qyi9SslLKyy9RKMlPSaxU0lFKSS1JzMwBCpZkpCrkpKakpxYpZBYrJOfkF6emKNUCAJoqT0k1AAAA"
        ),
        (["deflate"], "eJyrVkotKsovUrJSyssvUSjJT0msVNJRSkktSczMAQqWZKQq5KSmpKcWKWQWKyTn5BenpijVAgDodxJC"),
        // Without the header that "deflate" ought to have, and without compression.
        (["deflate"], "q1ZKLSrKL1KyUsrLL1EoyU9JrFTSUUpJLUnMzAEKlmSkKuSkpqSnFilkFisk5+QXp6Yo1QIA"),
        (["deflate"], "eAEBNQDK/3siZXJyb3IiOiJub3QgdG9kYXkiLCJkZXRhaWwiOiJ0aGUgbGVkZ2VyIGlzIGNsb3NlZCJ96HcSQg=="),
    ])
    func expandsWhatIsCompressed(codings: [String], base64: String) throws {
        let raw = Array(try #require(Data(base64Encoded: base64)))
        #expect(text(raw, "application/json", codings: codings) == Self.error)
        #expect(text(raw, codings: codings, atMost: 10) == #"{"error":""#)
        // Cut off anywhere it yields what came before, or stays as it was.
        for count in raw.indices {
            let cut = text(Array(raw[..<count]), codings: codings)
            #expect(Self.error.hasPrefix(cut) || cut == String(decoding: raw[..<count], as: UTF8.self))
        }
    }

    /// 700 of 1,348 bytes of a block with codes of its own.
    @Test func expandsTheBeginningOfALargeAnswer() throws {
        let text = text(Array(try #require(Data(base64Encoded: Self.large))), codings: ["gzip"])
        #expect(text.hasPrefix("saldo existe conta banco conta não não não ação não saldo conta não conta"))
        #expect(text.utf8.count == 1_000)
    }

    @Test func expandsNoFurtherThanItShows() throws {
        // The beginning of a hundred million zeros.
        let bomb = [
            0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 3, 0xEC, 0xC1, 1, 1, 0, 0, 0, 0x80, 0x90, 0xFE, 0xAF, 0xEE, 8, 0x0A,
        ]
        let raw = bomb.map { UInt8($0) } + [UInt8](repeating: 0, count: 3_976)
        let shown = AnswerText.bytes(of: raw, codings: ["gzip"], atMost: 1_000)
        #expect(shown == [UInt8](repeating: 0, count: 1_000))
        #expect(AnswerText.bytes(of: raw, codings: ["gzip", "gzip", "gzip"], atMost: 1_000).count <= 1_000)
    }

    @Test(arguments: [["br"], ["gzip"], ["deflate", "zstd"], ["gzip", "gzip", "gzip", "gzip"]])
    func leavesWhatItCannotExpand(codings: [String]) {
        #expect(text(Array("not compressed".utf8), codings: codings) == "not compressed")
    }

    @Test func breaksOnNothing() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            let raw = (0..<Int.random(in: 0...80, using: &generator)).map { _ in UInt8.random(in: 0...255) }
            for head: [UInt8] in [[], [0x1F, 0x8B, 8, UInt8.random(in: 0...255), 0, 0, 0, 0, 0, 3], [0x78, 0x9C]] {
                for coding in ["gzip", "deflate"] {
                    #expect(AnswerText.bytes(of: head + raw, codings: [coding], atMost: 100).count <= 100)
                }
            }
        }
    }

    @Test(
        arguments: [
            ("text/plain; charset=ISO-8859-1", [0x6E, 0xE3, 0x6F], "não"),
            ("text/plain; Charset = \"iso-8859-1\" ; x=y", [0x6E, 0xE3, 0x6F], "não"),
            ("text/html;charset=latin1", [0xE9], "é"), ("text/html; charset=windows-1252", [0x80, 0x93, 0x94], "€“”"),
            ("text/plain; charset=windows-1252", [0x81], "\u{FFFD}"), ("text/plain; charset=ISO-8859-15", [0xA4], "€"),
            ("text/plain; charset=iso-8859-2", [0xB3, 0xF3], "łó"),
            ("text/plain; charset=windows-1250", [0xB3, 0xF3], "łó"),
            ("text/plain; charset=windows-1251", [0xCC, 0xF2], "Мт"), ("text/plain; charset=koi8-r", [0xED], "М"),
            ("text/plain; charset=ibm850", [0xC6], "ã"), ("text/plain; charset=macintosh", [0x8B], "ã"),
            ("text/plain; charset=utf-16", [0, 0x68, 0, 0xE9], "hé"),
            ("text/plain; charset=utf-16le", [0x68, 0, 0xE9, 0], "hé"),
            ("text/plain; charset=utf-16", [0xFF, 0xFE, 0x68, 0, 0xE9, 0], "hé"),
            ("text/plain; charset=utf-16", [0, 0x68, 0xD8], "h"),
            ("text/plain; charset=utf-16be", [0xD8, 0, 0, 0x68], "\u{FFFD}h"),
            ("text/plain", [0xFE, 0xFF, 0, 0x68], "h"), ("text/plain; charset=utf-32", [0, 0, 0, 0xE9], "é"),
            ("text/plain; charset=iso-8859-1", [0xEF, 0xBB, 0xBF, 0xC3, 0xA9], "é"),
            ("text/plain; charset=utf-8", [0xC3, 0xA9, 0xFF], "é\u{FFFD}"),
            ("text/plain; charset=unheard-of", [0x61, 0xE9], "a\u{FFFD}"),
            ("text/plain", [0x61, 0xE9], "a\u{FFFD}"), ("charset=latin1", [0xE9], "\u{FFFD}"),
            ("text/plain; charset=", [0x61], "a"),
        ] as [(String, [UInt8], String)])
    func readsTheDeclaredCharacters(contentType: String, raw: [UInt8], expected: String) {
        #expect(text(raw, contentType) == expected)
    }

    @Test func knowsEveryByteOfEverySet() {
        for charset in [
            "windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1257",
            "iso-8859-2",
            "iso-8859-4", "iso-8859-5", "iso-8859-7", "iso-8859-9", "iso-8859-10", "iso-8859-13", "iso-8859-15",
            "iso-8859-16", "koi8-r", "koi8-u", "ibm850", "ibm866", "macintosh",
        ] {
            for byte in UInt8.min...UInt8.max {
                let text = text([0x61, byte], "text/plain; charset=\(charset)")
                #expect(text.unicodeScalars.count == 2, "\(charset) \(byte)")
                if byte < 0x80 { #expect(text.utf8.elementsEqual([0x61, byte])) }
            }
        }
    }

    @Test func endsWithAWholeCharacter() {
        #expect(text(Array("aéé".utf8), atMost: 5) == "aéé")
        #expect(text(Array("aéé".utf8), atMost: 4) == "aé")
        #expect(text(Array("a😀b".utf8), atMost: 4) == "a")
        #expect(text(Array("a😀b".utf8), atMost: 5) == "a😀")
        #expect(text([0xE9, 0xE9, 0xE9], "text/plain; charset=latin1", atMost: 5) == "éé")
    }

    @Test(arguments: [
        ("https://shop.example/new", "https://shop.example/new"), ("/login?next=/hook&token=s3cret", "/login"),
        ("https://user:password@shop.example/new#part", "https://shop.example/new"),
        ("//u@shop.example/x", "//shop.example/x"),
        (#"https:\\u:p@shop.example\x"#, #"https:\\shop.example\x"#),
        ("https:u:p@shop.example/x", "https:shop.example/x"),
        ("https:///u:p@shop.example/x", "https:///shop.example/x"), ("/a@b/c", "/b/c"), ("/x/a@b", "/x/a@b"),
        ("new", "new"), ("../x", "../x"), ("?a=b", nil), ("", nil),
        ("https://caf\u{E9}.example/", "https://café.example/"),
    ])
    func showsWhereARedirectPoints(value: String, shown: String?) {
        #expect(AnswerText.location(Array(value.utf8)) == shown)
    }

    @Test func showsNoMoreThanSomeOfALongRedirect() {
        let long = AnswerText.location(Array("https://shop.example/\(String(repeating: "é", count: 5_000))".utf8))
        #expect((490...AnswerText.locationBytesMax).contains(long?.utf8.count ?? 0))
    }

    @Test func makesControlCharactersHarmless() {
        #expect(AnswerText.harmless("a\tb\r\nc") == "a\tb\nc")
        #expect(AnswerText.harmless("\u{1B}[2J\u{0}\u{7F}") == "␛[2J␀␡")
        #expect(
            AnswerText.harmless("\u{9B}31m\u{202E}evil\u{200B}\u{2066}") == "\u{FFFD}31m\u{FFFD}evil\u{FFFD}\u{FFFD}")
        #expect(AnswerText.harmless("<b>não 😀</b>") == "<b>não 😀</b>")
    }

    private static let large =
        "H4sIAAAAAAACA5WaQW4cMQwEv+KvbRwfAgTcg33If3LIQ/yxAJ5BQE1XUZPL2h6vRhJFNptNvT9+fn++vP368f7x9vL6rI/Hy7dHvT7P"
        + "3+vz97N9PD7//Pv9/Wtk+9p1xPLSPvKY4HzyPi+gf54jlu/2ZR2v6k+O75wD2r/7+o7Hx5zH7/m6MMk5dplmGXz+6AOXR+vXztfBq/vq"
        + "jk/4brFZlgXFIfY3r3P6FirX3Pfel3MMy8NorrJY4hy7/sj1LhN1F1z+kSd+Plm225Y4LCVXv35tM3Ebt0xOo+sSIuF7aKTcDRwNRRtY"
        + "cXnX4rYZjnGS3aMg8roT96WBIy5rpoBJ72pP6rresGZdA8AdMg+orz2ibbFZAtLqUwlDDgvLOnY+SSZra19M1g/B8LcfXe5tmRS8CXwh"
        + "d4axF+ZN79lZNLedsRienEB2y2HFufK06JgAy8Gl+qn01QAuQtJY5s3PDGawLkGIEIc4PkWIPIgBJtMnaZMBvOnQy0xg4Josni5sqbeP"
        + "Sl/YpKd0WoB1Y0zkYFegbH/nUAsQcoK+0mVdMCRJl6FxnAQiaX9TmCqzEyDW3TSbjtCfGJJoDC+PurkKiTbkZ+KL+ZlhjoCbJ+J5h6gj"
        + "EslcxwbkgKEmgmvcBDMOJIil5NuXc4OsSbhk9q4xl4v7LN8hU1dS9dneCeKaEPEYIf1383hAalYii0IhBjwGjscLCLHHPUZVVhGVkUSq"
        + "PQGO9RG9bP0RieZSps9b5YyliVih/D+KQY+mW/ngHrnJfAkxdC0QzDKWUYczJtIN0bKpRCmMAPXFUU0o2IkOAq9Kuya4p5M1F9siDNgE"
        + "/EClJimsJ5hTJHB9R4fQyMhDChTp"
}
