import Foundation
import ReenvioStore

/// Texts that other users of the machine must not read in the list of processes: each option `--x` that takes one has a
/// sibling `--x-file PATH`, where `-` is standard input.
enum SecretText {
    private static let bytesMax = 65_536

    /// The text of an option or of its file, without the line's end; nil where neither is given.
    static func read(_ given: String?, file: String?, of option: String) throws -> String? {
        guard let file else { return given }
        guard given == nil else { throw CreationRefused(description: "give either \(option) or \(option)-file") }
        return try read(file: file, of: option)
    }

    static func read(file: String, of option: String) throws -> String {
        let option = "\(option)-file"
        let bytes: Data
        do {
            let handle = file == "-" ? FileHandle.standardInput : try FileHandle(forReadingFrom: URL(filePath: file))
            defer { if file != "-" { try? handle.close() } }
            bytes = try readAll(handle)
        } catch {
            throw CreationRefused(description: "\(option): \(file == "-" ? "standard input" : file) cannot be read")
        }
        guard bytes.count <= bytesMax else { throw CreationRefused(description: "\(option) is too long") }
        guard var text = String(bytes: bytes, encoding: .utf8) else {
            throw CreationRefused(description: "\(option) is no UTF-8")
        }
        if text.hasSuffix("\r\n") || text.hasSuffix("\n") { text.removeLast() }
        if text.isEmpty { throw CreationRefused(description: "\(option) is empty") }
        return text
    }

    /// No more than shows that it is too long: standard input may never end.
    private static func readAll(_ handle: FileHandle) throws -> Data {
        var bytes = Data()
        while bytes.count <= bytesMax, let piece = try handle.read(upToCount: bytesMax + 1 - bytes.count),
            !piece.isEmpty
        {
            bytes.append(piece)
        }
        return bytes
    }
}
