import Foundation
import ReenvioModel
import ReenvioStore

/// The encryption key of a SQLite store, in a file beside it: made once, readable by its owner only.
enum KeyFile {
    struct Fault: Error, CustomStringConvertible {
        var description: String
    }

    /// Beside the database file itself. Beside a symbolic link to it, where only that has one: older versions looked
    /// there.
    static func path(of store: StorePath) -> String {
        let beside = store.file + ".key"
        let besideLink = store.given + ".key"
        return !FileSteps.exists(beside) && FileSteps.exists(besideLink) ? besideLink : beside
    }

    /// The key in the file, or a new one. Never makes a key for a store that exists already: what it holds could not be
    /// read with it. An empty file without a store is what a full disk or a kill left of the first start.
    static func loadOrCreate(for store: StorePath) throws -> SealingKey {
        let path = path(of: store)
        if !store.exists, isBlank(path) {
            try create(path)
        } else if !FileSteps.exists(path) {
            throw Fault(description: "the key file \(path) is missing; put it back, or set REENVIO_ENCRYPTION_KEY")
        }
        do {
            return try load(path)
        } catch let fault as Fault where !store.exists {
            throw Fault(
                description: "\(fault.description); there is no store beside it yet: put the right key there, or "
                    + "remove the file, and a new key is made")
        }
    }

    /// What is wrong where others than its owner have any right on the file: no server starts with it.
    static func sharing(besideOf store: StorePath) -> Fault? {
        let path = path(of: store)
        guard let others = FileSteps.access(path)?.others, others != 0 else { return nil }
        return Fault(description: "others than its owner may read the key file \(path): chmod 600 \(path)")
    }

    static func load(_ path: String) throws -> SealingKey {
        guard let key = SealingKey(base64: try text(path)) else {
            throw Fault(description: "the key file \(path) cannot be read as the base64 of 32 bytes")
        }
        return key
    }

    private static func text(_ path: String) throws -> String {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Fault(description: "the key file \(path) cannot be read")
        }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private static func isBlank(_ path: String) -> Bool {
        !FileSteps.exists(path) || FileSteps.size(path) == 0
    }

    /// Refuses where another key than that of `source` lies beside a store that is to be made.
    static func refuseOther(than source: String, beside store: StorePath) throws {
        let path = path(of: store)
        if isBlank(path) { return }
        guard try text(path) == text(source) else {
            throw Fault(
                description: "the key file \(path) is there already, and is not the key in \(source); "
                    + "move it away first")
        }
    }

    /// Puts a copy of a key file beside a store that is being made; whether it was not there before.
    static func install(from source: String, beside store: StorePath) throws -> Bool {
        try refuseOther(than: source, beside: store)
        let path = path(of: store)
        guard isBlank(path) else { return false }
        try write(try text(source), to: path)
        return true
    }

    /// Takes away again what `install` put there.
    static func remove(besideOf store: StorePath) {
        unlink(path(of: store))
    }

    private static func create(_ path: String) throws {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        try write(Data(bytes).base64EncodedString(), to: path)
    }

    /// Under another name first, so that a full disk or a kill never leaves half a key under this one. The caller holds
    /// the folder's lock: whatever has the other name was left by a kill.
    private static func write(_ key: String, to path: String) throws {
        let partial = PartialFile.path(for: path)
        unlink(partial)
        defer { unlink(partial) }
        do {
            try writeNew(key + "\n", to: partial)
            // An empty file of that name is worth nothing.
            if FileSteps.exists(path) { unlink(path) }
            try FileSteps.renameNew(partial, to: path)
        } catch {
            throw Fault(description: "the key file \(path) cannot be made: \(error)")
        }
        do {
            try FileSteps.sync(FileSteps.folder(of: path))
        } catch {
            unlink(path)
            throw Fault(description: "the key file \(path) cannot be made: \(error)")
        }
    }

    private static func writeNew(_ text: String, to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw FileSteps.failure(errno, path, "cannot be created") }
        defer { close(file) }
        guard Foundation.write(file, text, text.utf8.count) == text.utf8.count, fsync(file) == 0 else {
            throw FileSteps.failure(errno, path, "cannot be written")
        }
    }
}
