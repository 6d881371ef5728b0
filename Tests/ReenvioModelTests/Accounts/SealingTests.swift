import Foundation
import ReenvioModel
import Testing

@Suite struct SealingTests {
    private func key(_ byte: UInt8) throws -> SealingKey {
        try #require(SealingKey(bytes: Array(repeating: byte, count: 32)))
    }

    @Test(arguments: [0, 1, 15, 16, 17, 1_000])
    func comesBack(count: Int) throws {
        let key = try key(1)
        let plain = (0..<count).map { UInt8($0 & 255) }
        let sealed = try key.seal(plain, context: "secrets:303")
        #expect(try key.open(sealed, keyID: key.id, context: "secrets:303") == plain)
        #expect(sealed.count == plain.count + 28)
    }

    @Test func hidesWhatItSeals() throws {
        let key = try key(1)
        let plain = Array("Beneficiary Name".utf8)
        let sealed = try key.seal(plain, context: "c")
        #expect(!sealed.contains(plain))
        #expect(try key.seal(plain, context: "c") != sealed)
    }

    @Test func opensWithItsKeyOnly() throws {
        let (one, two) = (try key(1), try key(2))
        let sealed = try one.seal([1, 2, 3], context: "c")
        #expect(one.id != two.id)
        #expect(throws: SealingKey.Fault.wrongKey) { try two.open(sealed, keyID: one.id, context: "c") }
        #expect(throws: SealingKey.Fault.wrongKey) { try one.open(sealed, keyID: two.id, context: "c") }
        #expect(throws: SealingKey.Fault.damaged) { try two.open(sealed, keyID: two.id, context: "c") }
    }

    /// A value moved to another row does not open.
    @Test(arguments: ["", "parties:2", "parties:11", "parties:1 ", "Parties:1"])
    func opensInItsContextOnly(context: String) throws {
        let key = try key(1)
        let sealed = try key.seal([1, 2, 3], context: "parties:1")
        #expect(throws: SealingKey.Fault.damaged) { try key.open(sealed, keyID: key.id, context: context) }
    }

    @Test func opensUntouchedOnly() throws {
        let key = try key(1)
        let sealed = try key.seal([1, 2, 3, 4], context: "c")
        for index in sealed.indices {
            var touched = sealed
            touched[index] ^= 1
            #expect(throws: SealingKey.Fault.damaged) { try key.open(touched, keyID: key.id, context: "c") }
        }
        for damaged in [
            [], Array(sealed.dropLast()), Array(sealed.dropFirst()), sealed + [0], Array(sealed.prefix(12)),
        ] {
            #expect(throws: SealingKey.Fault.damaged) { try key.open(damaged, keyID: key.id, context: "c") }
        }
    }

    @Test func isNamedByItsHash() throws {
        let key = try key(1)
        #expect(key.id == (try self.key(1)).id)
        #expect(Hex.bytes(key.id)?.count == 4)
        #expect(!Data(repeating: 1, count: 32).base64EncodedString().contains(key.id))
    }

    @Test(arguments: [0, 16, 24, 31, 33, 64])
    func wants32Bytes(count: Int) {
        let bytes = [UInt8](repeating: 7, count: count)
        #expect(SealingKey(bytes: bytes) == nil)
        #expect(SealingKey(base64: Data(bytes).base64EncodedString()) == nil)
    }

    @Test func readsBase64() throws {
        let text = Data(repeating: 1, count: 32).base64EncodedString()
        #expect(try #require(SealingKey(base64: text)).id == (try key(1)).id)
        for bad in ["", "not base64", String(text.dropLast()), text + "\n", Hex.text(Array(repeating: 1, count: 32))] {
            #expect(SealingKey(base64: bad) == nil)
        }
    }
}
