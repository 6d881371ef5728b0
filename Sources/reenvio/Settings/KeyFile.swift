import Foundation
import ReenvioModel

/// The encryption key of a SQLite store, in a file beside it: made once, readable by its owner only.
enum KeyFile {
    struct Fault: Error, CustomStringConvertible {
        var description: String
    }

    static func path(besideStore storePath: String) -> String {
        storePath + ".key"
    }

    /// The key in the file, or a new one. Never makes a key for a store that exists already: what it holds could not be
    /// read with it.
    static func loadOrCreate(besideStore storePath: String) throws -> SealingKey {
        let path = path(besideStore: storePath)
        let manager = FileManager.default
        if !manager.fileExists(atPath: path) {
            guard !manager.fileExists(atPath: storePath) else {
                throw Fault(description: "the key file \(path) is missing; put it back, or set REENVIO_ENCRYPTION_KEY")
            }
            try create(path)
        }
        return try load(path)
    }

    static func load(_ path: String) throws -> SealingKey {
        guard let data = FileManager.default.contents(atPath: path),
            let key = SealingKey(
                base64: String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
        else { throw Fault(description: "the key file \(path) cannot be read as the base64 of 32 bytes") }
        return key
    }

    /// Puts a copy of a key file beside a store that is being made.
    static func install(from source: String, besideStore storePath: String) throws {
        let path = path(besideStore: storePath)
        if path == source { return }
        guard let data = FileManager.default.contents(atPath: source) else {
            throw Fault(description: "the key file \(source) cannot be read")
        }
        try write(String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines), to: path)
    }

    private static func create(_ path: String) throws {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        try write(Data(bytes).base64EncodedString(), to: path)
    }

    /// The caller holds the folder's lock, so nobody reads the file half written.
    private static func write(_ key: String, to path: String) throws {
        let text = key + "\n"
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if file < 0 {
            throw Fault(description: "the key file \(path) cannot be created: \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        guard Foundation.write(file, text, text.utf8.count) == text.utf8.count, fsync(file) == 0 else {
            throw Fault(description: "the key file \(path) cannot be written")
        }
    }
}
