import ReenvioEngine
import ReenvioModel

/// What an import shows while it runs: each refused line, and on a terminal a bar with rate and time left below them.
struct ImportProgress {
    private static let redrawAfter: Duration = .milliseconds(100)
    private static let eraseLine = "\r\u{1B}[K"

    private(set) var totals = ImportRun.Totals()
    /// Size of the input; nil where it is not known.
    private let bytes: Int64?
    private let isShown: Bool
    private let began = ContinuousClock.now
    private var drawn: ContinuousClock.Instant?

    init(bytes: Int64?, isShown: Bool) {
        self.bytes = bytes
        self.isShown = isShown
    }

    mutating func tell(_ event: ImportRun.Event) {
        switch event {
        case .refused(let line, let refusal):
            end()
            Terminal.error("line \(line): \(refusal.text)")
        case .stored(let totals, let bytesDone):
            self.totals = totals
            let now = ContinuousClock.now
            guard isShown, drawn.map({ now - $0 >= Self.redrawAfter }) ?? true else { return }
            let text = Self.text(lines: totals.lines, bytesDone: bytesDone, of: bytes, after: now - began)
            Terminal.error(Self.eraseLine + text, terminator: "")
            drawn = now
        }
    }

    /// Takes the bar away.
    mutating func end() {
        if drawn != nil { Terminal.error(Self.eraseLine, terminator: "") }
        drawn = nil
    }

    /// Such as `[###...] 10 %  23400 lines/s, 12 s left`; without a size, lines and rate.
    static func text(lines: Int64, bytesDone: Int64, of bytes: Int64?, after elapsed: Duration) -> String {
        let milliseconds = max(1, elapsed.milliseconds)
        let rate = "\(lines * 1_000 / milliseconds) lines/s"
        guard let bytes else { return "\(lines) lines, \(rate)" }
        let left = bytesDone > 0 ? max(0, bytes - bytesDone) * milliseconds / bytesDone : 0
        return "\(Terminal.bar(bytesDone, of: bytes))  \(rate), \((left + 999) / 1_000) s left"
    }
}
