import Foundation

/// What may not be written in a shipped target, each with what to write instead. The texts are patterns to search for:
/// nothing in this target calls them.
struct BannedCall: Sendable {
    let text: String
    let instead: String
    /// Targets or files, as the beginning of their path, where it may be written.
    var exceptIn: [String] = []

    private static let strictJSON = "use ReenvioModel/JSON, which reports every fault and refuses repeated keys"
    private static let clock = "take the time as a parameter; only SystemClock.swift asks the system"
    private static let timeText = "write dates by integer arithmetic, ReenvioModel has the formats of contract 1.4"
    private static let services = "run it as a service under PollLoop, or in a task group that is awaited"
    private static let sleep = "never block a thread; use Task.sleep(for:), or a step that returns .wait"

    static let all = [
        BannedCall(text: "try!", instead: "use try, and let the caller decide"),
        BannedCall(text: "as!", instead: "use as?, and say what happens otherwise"),
        BannedCall(text: "fatalError(", instead: "throw an error, or state the invariant with precondition(_, reason)"),
        BannedCall(
            text: "print(", instead: "use the logger; only commands write to standard output",
            exceptIn: ["Sources/reenvio/"]),
        BannedCall(text: "Thread.sleep", instead: sleep),
        BannedCall(text: "usleep(", instead: sleep),
        BannedCall(text: "String(format:", instead: "use interpolation or a digit table, 20 times faster"),
        BannedCall(text: "DateFormatter", instead: timeText),
        BannedCall(text: "ISO8601DateFormatter", instead: timeText),
        BannedCall(text: "Date()", instead: clock, exceptIn: [systemClock]),
        BannedCall(text: "Date.now", instead: clock, exceptIn: [systemClock]),
        BannedCall(text: "JSONDecoder", instead: strictJSON),
        BannedCall(text: "JSONEncoder", instead: strictJSON),
        BannedCall(text: "JSONSerialization", instead: strictJSON),
        BannedCall(text: "Task {", instead: services),
        BannedCall(text: "Task(", instead: services),
        BannedCall(text: "Task.detached", instead: services),
        BannedCall(text: "public", instead: "use package: nothing outside this package imports it"),
    ]

    private static let systemClock = "Sources/ReenvioEngine/Running/SystemClock.swift"

    static func offences(in file: SourceFile) -> [Offence] {
        all.flatMap { $0.offences(in: file) }
    }

    private func offences(in file: SourceFile) -> [Offence] {
        guard !exceptIn.contains(where: file.path.hasPrefix) else { return [] }
        return file.code.indices.filter { isWritten(in: file.code[$0]) }.map {
            file.offence(at: $0, "'\(text)' is banned: \(instead)")
        }
    }

    /// Whole words only: `fingerprint(` is not `print(`.
    private func isWritten(in line: String) -> Bool {
        var rest = line[...]
        while let found = rest.range(of: text) {
            if isBoundary(line[..<found.lowerBound].last, text.first),
                isBoundary(text.last, rest[found.upperBound...].first)
            {
                return true
            }
            rest = rest[found.upperBound...]
        }
        return false
    }

    private func isBoundary(_ left: Character?, _ right: Character?) -> Bool {
        guard let left, let right else { return true }
        return !(isPartOfName(left) && isPartOfName(right))
    }

    private func isPartOfName(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_"
    }
}

/// `@unchecked Sendable` switches the compiler's check off: somebody has to say why that is right.
enum UncheckedSendableRule {
    static let linesAbove = 3

    static func offences(in file: SourceFile) -> [Offence] {
        file.code.indices.compactMap { index in
            guard file.code[index].contains("@unchecked Sendable") else { return nil }
            let above = file.lines[max(0, index - linesAbove)..<index]
            if above.contains(where: { $0.contains("//") }) { return nil }
            return file.offence(at: index, "'@unchecked Sendable' needs a comment above it that says why it is safe")
        }
    }
}
