import Foundation

/// A breach of a house rule, as `file:line: message`, which editors and terminals turn into a link.
struct Offence: CustomStringConvertible, Equatable {
    let path: String
    let line: Int
    let message: String

    var description: String { "\(path):\(line): \(message)" }
}

/// One Swift file: its lines as written, and as code with comments and string literals blanked out.
struct SourceFile: Sendable {
    /// Relative to the package, e.g. `Sources/ReenvioModel/Limits.swift`.
    let path: String
    let lines: [String]
    let code: [String]

    init(path: String, text: String) {
        self.path = path
        self.lines = splitIntoLines(text)
        self.code = CodeMask.lines(of: text)
    }

    /// The folder below `Sources/`; nil for files that are not part of a shipped target.
    var target: String? {
        let parts = path.split(separator: "/")
        return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : nil
    }

    /// `index` counts from 0, the offence's line from 1.
    func offence(at index: Int, _ message: String) -> Offence {
        Offence(path: path, line: index + 1, message: message)
    }
}

/// Every Swift file of the package that is checked.
struct SourceTree: Sendable {
    /// What ships: all rules hold.
    let sources: [SourceFile]
    /// Tests, benchmarks, examples and the manifest: only lengths and leftovers are checked.
    let others: [SourceFile]

    var all: [SourceFile] { sources + others }

    /// Read once, the first time a test asks.
    static let package = Result { try SourceTree(root: packageRoot) }

    private static var packageRoot: URL {
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    }

    init(root: URL) throws {
        sources = try SourceTree.files(under: "Sources", of: root)
        let manifest = try String(contentsOf: root.appending(path: "Package.swift"), encoding: .utf8)
        others =
            try SourceTree.files(under: "Tests", of: root)
            + SourceTree.files(under: "Benchmarks/Sources", of: root)
            + SourceTree.files(under: "Examples", of: root)
            + [SourceFile(path: "Package.swift", text: manifest)]
    }

    private static func files(under folder: String, of root: URL) throws -> [SourceFile] {
        let base = root.appending(path: folder)
        guard FileManager.default.fileExists(atPath: base.path) else { return [] }
        return try FileManager.default.subpathsOfDirectory(atPath: base.path)
            .filter { $0.hasSuffix(".swift") }
            .sorted()
            .map { subpath in
                let text = try String(contentsOf: base.appending(path: subpath), encoding: .utf8)
                return SourceFile(path: "\(folder)/\(subpath)", text: text)
            }
    }
}
