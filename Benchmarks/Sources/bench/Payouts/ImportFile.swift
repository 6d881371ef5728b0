import Foundation

/// Lines to import, in a file.
struct ImportFile {
    let path: String

    init(_ path: String, lines: Range<Int>, _ kind: ImportedKind = ImportedKind()) throws {
        self.path = path
        guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path)
        else { throw Failure("\(path) cannot be written") }
        for start in stride(from: lines.lowerBound, to: lines.upperBound, by: 1_000) {
            var text = ""
            for index in start..<min(start + 1_000, lines.upperBound) {
                text += PayoutTexts.line(index: index, kind)
            }
            try file.write(contentsOf: Data(text.utf8))
        }
        try file.close()
    }
}

extension FreshStore {
    /// Imports payouts and returns their ids.
    @discardableResult
    func importPayouts(_ lines: Range<Int>, _ kind: ImportedKind) throws -> [Int] {
        let file = try ImportFile(folder + "/lines.ndjson", lines: lines, kind)
        let printed = try command("import", file.path, "--json")
        try FileManager.default.removeItem(atPath: file.path)
        guard printed == "{\"imported\":\(lines.count),\"unchanged\":0,\"refused\":0}\n" else {
            throw Failure("the import printed \(printed)")
        }
        return lines.map { $0 + 1 }
    }
}
