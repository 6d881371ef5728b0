import Foundation
import GRDB
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

@Suite("files of a SQLite store")
struct StoreFileTests {
    private let folder: ScratchFolder
    private var path: String { folder.path + "/store.db" }

    init() throws {
        folder = try ScratchFolder()
    }

    private func write(_ engine: SQLiteEngine, _ priority: WritePriority = .intake, bytes: Int = 100_000) async throws {
        try await engine.write(priority) { db in
            try db.run("CREATE TABLE IF NOT EXISTS weight (bytes BLOB NOT NULL) STRICT")
            try db.run("INSERT INTO weight (bytes) VALUES ($1)", [.blob([UInt8](repeating: 7, count: bytes))])
            return ()
        }
    }

    @Test("what a log of some length lets pass")
    func admission() {
        let bounds = LogBounds(kept: 1, givenBack: 10, warned: 20, pausing: 100, refusing: 400)
        for priority in WritePriority.allCases {
            #expect(bounds.admission(priority, logBytes: 99) == .now)
            let canWait = [.chunks, .janitor, .bulk].contains(priority)
            #expect(bounds.admission(priority, logBytes: 100) == (canWait ? .later : .now))
            let isNew = [.changes, .intake].contains(priority)
            #expect(bounds.admission(priority, logBytes: 400) == (isNew ? .refused : canWait ? .later : .now))
        }
        #expect(bounds.warning(logBytes: 19, said: nil) == nil)
        #expect(bounds.warning(logBytes: 39, said: nil) == 20)
        #expect(bounds.warning(logBytes: 39, said: 20) == nil)
        #expect(bounds.warning(logBytes: 170, said: 20) == 160)
    }

    @Test("a reader that stays makes the log grow to its bound and no further, and all heals when it goes")
    func reader() async throws {
        let bounds = LogBounds(kept: 1 << 20, givenBack: 2 << 20, warned: 2 << 20, pausing: 4 << 20, refusing: 8 << 20)
        let engine = try SQLiteEngine(path: path, logBounds: bounds)
        try await write(engine)
        var unguarded = Configuration()
        unguarded.allowsUnsafeTransactions = true
        let reader = try DatabaseQueue(path: path, configuration: unguarded)
        try await reader.writeWithoutTransaction { database in
            try database.execute(sql: "BEGIN; SELECT count(*) FROM weight")
        }
        await #expect(throws: StoreError.self) {
            for _ in 0..<10_000 { try await write(engine) }
        }
        let refusedAt = try #require(FileSteps.size(path + "-wal"))
        #expect(refusedAt >= bounds.refusing)
        try await write(engine, .outcomes)
        let paused = Task { try await write(engine, .chunks) }
        await engine.tend()
        #expect(engine.logBytes >= bounds.refusing, "somebody still reads it")
        try await reader.writeWithoutTransaction { try $0.execute(sql: "COMMIT") }
        await engine.tend()
        #expect(engine.logBytes <= bounds.kept)
        try await write(engine)
        try await paused.value
        try reader.close()
        try engine.close()
    }

    @Test("a log that was begun anew keeps no more bytes than it may")
    func begunAnew() async throws {
        let bounds = LogBounds(kept: 1 << 20, givenBack: .max, warned: .max, pausing: .max, refusing: .max)
        let engine = try SQLiteEngine(path: path, logBounds: bounds)
        try await write(engine, bytes: 8 << 20)
        let other = try DatabaseQueue(path: path)
        try await other.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(PASSIVE)") }
        try await write(engine, bytes: 100)
        #expect(try #require(FileSteps.size(path + "-wal")) <= bounds.kept + 65_536)
        try other.close()
        try engine.close()
    }

    @Test(
        "files that are changed below a process: what they held is saved, and nothing more is written",
        arguments: ["-wal", ""])
    func changed(_ suffix: String) async throws {
        let engine = try SQLiteEngine(path: path)
        try await write(engine, bytes: 10)
        var written = 1
        try FileManager.default.removeItem(atPath: path + suffix)
        await #expect(throws: StoreError.self) {
            while true {
                try await write(engine, bytes: 10)
                written += 1
            }
        }
        #expect(engine.loss?.contains("removed or replaced") == true)
        try engine.close()
        let place = suffix.isEmpty ? path + ".rescued" : path
        for companion in StorePath.companions { try? FileManager.default.removeItem(atPath: place + companion) }
        let saved = try DatabaseQueue(path: place)
        let count = try await saved.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM weight") }
        #expect(count == written)
        try saved.close()
    }

    @Test("a store has one name: links to it are followed, a second one is refused")
    func names() async throws {
        try await write(try SQLiteEngine(path: path))
        let link = folder.path + "/link.db"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "store.db")
        #expect(StorePath(link).file == path && StorePath(link).given == link)
        #expect(StorePath(path).file == path)
        let loop = folder.path + "/loop.db"
        try FileManager.default.createSymbolicLink(atPath: loop, withDestinationPath: "loop.db")
        #expect(throws: StoreError.self) { try SQLiteEngine(path: loop) }
        try FileManager.default.linkItem(atPath: path, toPath: folder.path + "/second.db")
        for name in [path, link, folder.path + "/second.db"] {
            #expect(throws: StoreError.self) { try SQLiteEngine(path: name) }
            #expect(throws: StoreError.self) { try SQLiteBackup.copy(from: name, to: folder.path + "/copy.db") }
        }
    }

    @Test("a file gets its name only where that is free, and one process makes it")
    func placing() throws {
        let target = folder.path + "/new"
        let first = try PartialFile(for: target)
        #expect(throws: SQLiteBackup.Refused.self) { try PartialFile(for: target) }
        try Data("new".utf8).write(to: URL(fileURLWithPath: first.path))
        try first.place()
        #expect(FileManager.default.contents(atPath: target) == Data("new".utf8))
        first.takeBack()
        #expect(!FileSteps.exists(target) && FileSteps.exists(first.path))
        try Data("theirs".utf8).write(to: URL(fileURLWithPath: target))
        #expect(throws: SQLiteBackup.Refused.self) { try first.place() }
        #expect(FileManager.default.contents(atPath: target) == Data("theirs".utf8))
        first.discard()
        #expect(!FileSteps.exists(first.path))
    }

    @Test("what is set aside is one store under its new name, and is put back")
    func settingAside() throws {
        for suffix in ["", "-wal", "-shm"] {
            try Data(suffix.utf8).write(to: URL(fileURLWithPath: path + suffix))
        }
        let moved = try StorePath(path).setAside(at: Timestamp(seconds: 1_774_339_200))
        let base = path + ".left-20260324T080000Z"
        #expect(moved.map(\.to) == [base, base + "-wal", base + "-shm"])
        #expect(!FileSteps.exists(path) && StorePath(path).companions.isEmpty)
        StorePath.putBack(moved)
        #expect(StorePath(path).companions == [path + "-wal", path + "-shm"])
    }

    @Test("a step that fails late takes the copy away again, and undoes what was arranged for it")
    func undone() async throws {
        let store = try await Fixtures.store(.sqlite, in: folder)
        try store.close()
        let target = folder.path + "/other.db"
        var isUndone = false
        #expect(throws: SQLiteBackup.Refused.self) {
            try SQLiteBackup.copy(from: path, to: target) {
                try Data("x".utf8).write(to: URL(fileURLWithPath: target + "-wal"))
                return { isUndone = true }
            }
        }
        #expect(isUndone && !FileSteps.exists(target) && !FileSteps.exists(target + ".partial"))
    }

    @Test("a copied store remembers it until that is undone")
    func copied() async throws {
        let source = try await Fixtures.store(.sqlite, in: folder)
        let target = try await Store.open(
            engine: try SQLiteEngine(path: folder.path + "/target.db"), sealing: try Fixtures.sealingKey,
            now: Fixtures.start, allowingUnfinishedCopy: true
        ).store
        _ = try await StoreCopy(from: source, to: target, named: "postgres://there").run(now: Fixtures.start) { _ in }
        #expect(try await source.copiedTo() == "copied to postgres://there at 2026-03-24T08:00:00Z")
        #expect(try await target.copiedTo() == nil)
        #expect(try await source.forgetCopy())
        #expect(try await source.copiedTo() == nil)
        #expect(try await source.forgetCopy() == false)
    }
}
