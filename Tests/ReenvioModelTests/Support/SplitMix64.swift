/// The same values for the same seed, everywhere: what a random test needs to be run again.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Always the same bits: 1 draws the least of a range, all ones the most. (0 could make a range draw for ever.)
struct ConstantBits: RandomNumberGenerator {
    let bits: UInt64

    mutating func next() -> UInt64 { bits }
}
