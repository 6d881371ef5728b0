package import ReenvioModel
import ReenvioStore

/// Writes items together, and in ever smaller parts where that fails because of an item: a damaged row or page stops
/// what needs it and nothing else.
package enum Apart {
    package struct Bad<Item> {
        package var item: Item
        package var why: String
    }

    package struct Outcome<Item> {
        /// What cannot be written, each by itself.
        package var bad: [Bad<Item>] = []
        /// What was not tried to the end, because the store cannot be used at all now.
        package var left: [Item] = []
        package var error: (any Error)?
    }

    /// `write` is given parts of `items`, in order; what it returned without an error is written.
    package static func write<Item: Sendable>(
        _ items: [Item], _ write: ([Item]) async throws -> Void
    ) async -> Outcome<Item> {
        var outcome = Outcome<Item>()
        var waiting = [items[...]]
        while let part = waiting.popLast() {
            if part.isEmpty { continue }
            do {
                try await write(Array(part))
            } catch StoreError.failed(let why) {
                if part.count == 1 {
                    outcome.bad += part.map { Bad(item: $0, why: why) }
                } else {
                    let middle = part.startIndex + part.count / 2
                    waiting += [part[middle...], part[..<middle]]
                }
            } catch {
                outcome.left = Array(part) + waiting.reversed().flatMap { $0 }
                outcome.error = error
                break
            }
        }
        return outcome
    }

    /// The same for items of merchants. Where nothing of several merchants can be written, no item is to blame: all are
    /// left, with the error.
    package static func write<Item: Sendable>(
        _ items: [Item], merchant: (Item) -> Int64, _ write: ([Item]) async throws -> Void
    ) async -> Outcome<Item> {
        var outcome = await self.write(items, write)
        if outcome.bad.count == items.count, Set(items.map(merchant)).count > 1 {
            outcome.error = StoreError.failed(outcome.bad[0].why)
            (outcome.left, outcome.bad) = (items, [])
        }
        return outcome
    }
}

extension Apart {
    /// How many parts a batch is split into after a lock timeout. Each level of splits waits for the lock again.
    private static let cuts = 8

    /// Writes items that share no rows. Splits the batch on a lock timeout until the locked items stand alone. Stops at
    /// any other error and returns it with the items that are left.
    package static func write<Item: Sendable>(
        around items: [Item], _ write: ([Item]) async throws -> Void
    ) async -> (locked: [Item], left: [Item], error: (any Error)?) {
        var locked: [Item] = []
        var waiting = cut(items[...])
        while let part = waiting.popLast() {
            do {
                try await write(Array(part))
            } catch StoreError.locked {
                if part.count == 1 { locked += part } else { waiting += cut(part) }
            } catch {
                return (locked, Array(part) + waiting.reversed().flatMap { $0 }, error)
            }
        }
        return (locked, [], nil)
    }

    /// The first part last.
    private static func cut<Item>(_ items: ArraySlice<Item>) -> [ArraySlice<Item>] {
        let size = max(1, (items.count + cuts - 1) / cuts)
        return stride(from: items.startIndex, to: items.endIndex, by: size).reversed().map {
            items[$0..<min($0 + size, items.endIndex)]
        }
    }
}

/// Whether to look for the item that makes a commit fail: at the second failure in a row, and for a minute after one
/// was found at the first, because more of the same damage is likely.
package struct Suspicion {
    private static let alertFor: Duration = .seconds(60)

    private var failures = 0
    private var alertUntil: Timestamp?

    package init() {}

    /// Takes note of a failure; true where the items should be written one by one now. `now` is engine time.
    package mutating func failed(_ error: any Error, now: Timestamp) -> Bool {
        guard Self.isOfItem(error) else { return false }
        failures += 1
        return failures > 1 || (alertUntil.map { now < $0 } ?? false)
    }

    package mutating func succeeded() {
        failures = 0
    }

    /// An item was found.
    package mutating func found(now: Timestamp) {
        alertUntil = now + Self.alertFor
    }

    /// A store that cannot be used now says nothing of any item.
    package static func isOfItem(_ error: any Error) -> Bool {
        switch error {
        case StoreError.failed, is ProbeBroken: true
        default: false
        }
    }
}
