import Foundation
import Synchronization

/// Where random bits come from: the system's generator, or a seeded one in tests and the simulation.
package protocol Entropy: Sendable {
    func next() -> UInt64
}

/// The system's generator, asked for a page of bits at a time: each question is a system call, and every request and
/// attempt needs some. A word is given out once.
package struct SystemEntropy: Entropy {
    /// `getentropy` gives 256 bytes at most.
    private static let wordsPerPage = 32
    private static let page = Mutex<[UInt64]>([])

    package init() {}

    package func next() -> UInt64 {
        Self.page.withLock { page in
            if page.isEmpty { Self.fill(&page) }
            return page.popLast() ?? 0
        }
    }

    private static func fill(_ page: inout [UInt64]) {
        page = Array(repeating: 0, count: wordsPerPage)
        let failed = page.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { getentropy($0, bytes.count) } ?? -1
        }
        guard failed != 0 else { return }
        var generator = SystemRandomNumberGenerator()
        for index in page.indices { page[index] = generator.next() }
    }
}

/// Repeats the same bits for the same seed (SplitMix64).
package final class SeededEntropy: Entropy {
    private let state: Mutex<UInt64>

    package init(seed: UInt64) {
        state = Mutex(seed)
    }

    package func next() -> UInt64 {
        state.withLock { state in
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }
}

/// An `Entropy` where the standard library asks for a generator.
package struct EntropyGenerator: RandomNumberGenerator {
    private let entropy: any Entropy

    package init(_ entropy: any Entropy) {
        self.entropy = entropy
    }

    package mutating func next() -> UInt64 {
        entropy.next()
    }
}

extension Entropy {
    package func bytes(_ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count)
        while result.count < count {
            let bits = next()
            for shift in 0..<min(8, count - result.count) {
                result.append(UInt8(truncatingIfNeeded: bits >> (8 * shift)))
            }
        }
        return result
    }
}
