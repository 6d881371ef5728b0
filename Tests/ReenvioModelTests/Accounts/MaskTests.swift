import ReenvioModel
import Testing

/// The mask and the retention of `docs/contract.md` 14.
struct MaskTests {
    @Test(
        "the first two and last two characters, six stars between; below six characters all stars",
        arguments: [
            ("14538220647", "14******47"), ("abc", "***"), ("", ""), ("a", "*"), ("12345", "*****"),
            ("123456", "12******56"), ("ana@example.com", "an******om"), ("+5511998765432", "+5******32"),
            ("Ação Única", "Aç******ca"),
        ])
    func mask(_ text: String, _ masked: String) {
        #expect(Mask.text(text) == masked)
    }

    @Test("a debtor's document keeps one and two", arguments: [("01234567832", "0******32"), ("12345", "*****")])
    func debtorDocument(_ text: String, _ masked: String) {
        #expect(Mask.debtorDocument(text) == masked)
    }
}

struct RetentionTests {
    @Test("the defaults are those of the contract")
    func defaults() throws {
        let retention = try #require(Retention(Retention.defaultText))
        #expect(retention == .standard)
        let days = retention.seconds.mapValues { $0 / 86_400 }
        #expect(days == [.parties: 400, .attempts: 30, .answers: 30, .resends: 90, .audit: 400, .deliveries: 400])
        #expect(!retention.dropsAnswersFirst)
    }

    @Test("a kind that is left out keeps its default; blanks before a name do not matter")
    func some() throws {
        let retention = try #require(Retention("attempts=2h, answers=90s"))
        #expect(retention.seconds[.attempts] == 7_200)
        #expect(retention.seconds[.answers] == 90)
        #expect(retention.seconds[.audit] == 34_560_000)
        #expect(retention.dropsAnswersFirst)
        let now = Timestamp(seconds: 1_000_000)
        #expect(retention.cutoff(.answers, now: now) == Timestamp(seconds: 1_000_000 - 90))
    }

    @Test(
        "what is no retention is refused",
        arguments: [
            "", "attempts", "attempts=", "attempts=30", "attempts=30w", "attempts=-1d", "attempts=0d", "payouts=1d",
            "attempts=1d,attempts=2d", "attempts=1d,", "attempts=40000d", "attempts=99999999999999999999d",
            "resends=23h", "attempts=1.5d", "deliveries=89d",
        ])
    func refused(_ text: String) {
        #expect(Retention(text) == nil)
    }

    @Test("ended deliveries are kept as long as the resends whose ledgers show them")
    func keptTogether() throws {
        let retention = try #require(Retention("resends=500d"))
        #expect(retention.seconds[.deliveries] == Int64(500 * 86_400))
        #expect(Retention("resends=500d,deliveries=499d") == nil)
    }
}

struct CursorPageTests {
    @Test("a cursor leads back to its row", arguments: [1, 31, 32, 7_890, Int64.max])
    func roundTrip(_ id: Int64) {
        #expect(CursorPage.position(CursorPage.cursor(id)) == id)
    }

    @Test(
        "anything else is no cursor",
        arguments: ["", "c", "c0", "c-1", "7890", "cz!", "c" + String(repeating: "v", count: 14)])
    func refused(_ text: String) {
        #expect(CursorPage.position(text) == nil)
    }
}
