import Testing

/// Each rule on small sources of its own: one that never fires, or fires on the innocent, is noticed here.
@Suite struct RuleTests {
    private func file(_ text: String, path: String = "Sources/ReenvioEngine/Sample.swift") -> SourceFile {
        SourceFile(path: path, text: text)
    }

    @Test(arguments: [
        ("ReenvioModel", "import GRDB"),
        ("ReenvioModel", "import ReenvioStore"),
        ("ReenvioStore", "package import struct NIOCore.ByteBuffer"),
        ("ReenvioEngine", "import Hummingbird"),
        ("ReenvioEngine", "@preconcurrency import AsyncHTTPClient"),
        ("ReenvioEngine", "import Glibc"),
        ("ReenvioAPI", "import GRDB"),
        ("reenvio", "@testable import ReenvioTesting"),
        ("Unknown", "let answer = 42"),
    ])
    func forbiddenImportIsFound(target: String, line: String) {
        let sample = file(line, path: "Sources/\(target)/Sample.swift")
        #expect(ImportRule.offences(in: sample).map(\.line) == [1])
    }

    @Test(arguments: [
        ("ReenvioModel", "import Foundation"),
        ("ReenvioModel", "package import Crypto"),
        ("ReenvioEngine", "import Synchronization"),
        ("ReenvioStore", "private import GRDB"),
        ("reenvio", "import ArgumentParser"),
        ("ReenvioModel", "// import GRDB would be wrong here"),
        ("ReenvioModel", "let command = \"import GRDB\""),
    ])
    func otherImportsPass(target: String, line: String) {
        let sample = file(line, path: "Sources/\(target)/Sample.swift")
        #expect(ImportRule.offences(in: sample).isEmpty)
    }

    // Lines of source as text, to show that the rules find them; none is executed.
    @Test(arguments: [
        "try! open()", "let row = value as! Row", "fatalError(\"no\")", "print(1)", "Thread.sleep(forTimeInterval: 1)",
        "usleep(10)", "String(format: \"%02x\", 1)", "let formatter = DateFormatter()", "ISO8601DateFormatter()",
        "let now = Date()", "let now = Date.now", "JSONDecoder()", "JSONEncoder()", "try JSONSerialization.data()",
        "Task { await run() }", "Task(priority: .low) { await run() }", "Task.detached { }", "public struct Thing {}",
        "let text = \"at \\(Date()) o'clock\"",
    ])
    func bannedCallIsFound(line: String) {
        #expect(BannedCall.offences(in: file("import Foundation\n\(line)\n")).map(\.line) == [2])
    }

    @Test(arguments: [
        "fingerprint(1)", "let a = try open()", "let date = parseDate()", "Date(timeIntervalSince1970: 0)",
        "group.addTask { await run() }", "try await Task.sleep(for: .seconds(1))", "let publicURL = 1",
        "// print(1) is what a beginner would write", "let text = \"print(1)\"", "/* try! */ run()",
        "let text = #\"\\(Date())\"#",
    ])
    func innocentCallPasses(line: String) {
        #expect(BannedCall.offences(in: file(line)).isEmpty)
    }

    @Test func everyBannedCallFiresInItsSimplestForm() {
        for call in BannedCall.all {
            #expect(!BannedCall.offences(in: file(call.text)).isEmpty, "\(call.text)")
        }
    }

    @Test func exceptionsHoldForTheirFileOnly() {
        let clock = "Sources/ReenvioEngine/Running/SystemClock.swift"
        #expect(BannedCall.offences(in: file("Date()", path: clock)).isEmpty)
        #expect(BannedCall.offences(in: file("print(1)", path: "Sources/reenvio/Serve.swift")).isEmpty)
        #expect(BannedCall.offences(in: file("Date()", path: "Sources/reenvio/Serve.swift")).count == 1)
    }

    @Test func uncheckedSendableNeedsItsReason() {
        let type = "final class Box: @unchecked Sendable {"
        #expect(UncheckedSendableRule.offences(in: file("\(type)\n}")).map(\.line) == [1])
        #expect(UncheckedSendableRule.offences(in: file("// far\n\n\n\n\(type)\n}")).map(\.line) == [5])
        #expect(UncheckedSendableRule.offences(in: file("/// Used from one thread.\n\(type)\n}")).isEmpty)
    }

    @Test func longLineIsFound() {
        let limit = LineLengthRule.charactersMax
        let lines = [limit, limit + 1].map { String(repeating: "é", count: $0) }
        #expect(LineLengthRule.offences(in: file(lines.joined(separator: "\n"))).map(\.line) == [2])
    }

    @Test func longFileIsFound() {
        let limit = FileLengthRule.linesMax
        #expect(FileLengthRule.offences(in: file(String(repeating: "a\n", count: limit))).isEmpty)
        #expect(FileLengthRule.offences(in: file(String(repeating: "a\n", count: limit + 1))).count == 1)
    }

    @Test(arguments: [
        "func run() {", "package static func run(\n    a: Int\n) async throws {", "@Sendable func run() {",
        "init?(a: Int) {",
        "private init<T>(_ value: T)\nwhere T: Sendable {", "deinit {", "subscript(index: Int) -> Int {",
    ])
    func longFunctionIsFound(signature: String) {
        let head = signature.split(separator: "\n").count
        let fits = FunctionLengthRule.linesMax - head - 1
        #expect(FunctionLengthRule.offences(in: file(function(signature, bodyLines: fits))).isEmpty)
        #expect(FunctionLengthRule.offences(in: file(function(signature, bodyLines: fits + 1))).map(\.line) == [1])
    }

    @Test func functionsWithoutBodyAndShortOnesPass() {
        let requirement = "protocol Store {\n    func read() -> Int\n    init(a: Int)\n    var size: Int { get }\n}\n"
        let short = "func one() -> Int { 1 }\n"
        let filler = String(repeating: "let a = \"}{\"  // }\n", count: 100)
        #expect(FunctionLengthRule.offences(in: file(requirement + short + filler)).isEmpty)
    }

    private func function(_ signature: String, bodyLines: Int) -> String {
        let body = String(repeating: "    if a { print(\"{ \\(b)\") }\n", count: bodyLines)
        return "\(signature)\n\(body)}\n"
    }

    @Test func leftoversAreFound() {
        for note in LeftoverRule.notes {
            #expect(LeftoverRule.offences(in: file("let a = 1\n// \(note): later")).map(\.line) == [2], "\(note)")
            #expect(LeftoverRule.offences(in: file("let m\(note)s = 1")).isEmpty, "\(note)")
        }
        #expect(LeftoverRule.offences(in: file("// @Test(\(LeftoverRule.switchedOff)))")).map(\.line) == [1])
    }

    @Test(arguments: [
        ("a // b \" c", "a"),
        ("a \"b\" + c", "a     + c"),
        ("a /* b /* c */ d */ e", "a                   e"),
        ("\"\\(a(\"b\") + c)\" + d", "   a(   ) + c   + d"),
        ("#\"a\"b\"# + c", "        + c"),
        ("\"a\\\"b\" + c", "       + c"),
        ("\"\" + a", "   + a"),
    ])
    func maskLeavesCode(source: String, code: String) {
        #expect(CodeMask.lines(of: source).map(trimEnd) == [code])
    }

    @Test func maskKeepsLines() {
        let source = "let a = \"\"\"\n    print(\\(b))\n    \"c\" \\\n    \"\"\"\nlet d = 1\n"
        #expect(CodeMask.lines(of: source).map(trimEnd) == ["let a =", "            b", "", "", "let d = 1"])
    }

    private func trimEnd(_ line: String) -> String {
        String(line.reversed().drop { $0 == " " }.reversed())
    }
}
