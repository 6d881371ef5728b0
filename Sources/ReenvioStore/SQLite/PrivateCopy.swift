import Foundation
package import ReenvioModel

/// A copy of a SQLite store beside it, for a long check: a snapshot of the store itself would keep its log from
/// being begun anew. Nothing of it stays.
package final class PrivateCopy {
    /// The files that it consists of, for whoever has to remove them.
    package static func files(of store: StorePath) -> [String] { PartialFile.files(for: target(store)) }

    package let store: Store
    private let partial: PartialFile

    private static func target(_ store: StorePath) -> String { store.file + ".check" }

    /// Nil where the disk has no room for it.
    package init?(of source: StorePath, sealing: SealingKey) throws {
        let bytes = [source.file, source.file + "-wal"].reduce(0) { $0 + (FileSteps.size($1) ?? 0) }
        let free = FileSteps.free(below: FileSteps.folder(of: source.file)) ?? 0
        guard free >= bytes + Limits.diskBytesLeft else { return nil }
        partial = try PartialFile(for: Self.target(source))
        do {
            try SQLiteBackup.copyPages(from: source.file, to: partial.path, for: partial.path)
            store = Store(engine: try SQLiteEngine(path: partial.path, readers: 1), sealing: sealing, outbox: nil)
        } catch {
            partial.discard()
            throw error
        }
    }

    package func discard() {
        try? store.close()
        partial.discard()
    }
}
