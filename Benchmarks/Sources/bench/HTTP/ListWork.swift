import NIOCore
import Synchronization

/// A list of requests, each sent once by whichever connection is free; every answer must have the status expected.
final class ListWork: Work {
    private let count: Int
    private let expected: Int
    private let request: @Sendable (Int) -> ByteBuffer
    private let onAnswer: @Sendable (Int, UnsafeRawBufferPointer) throws -> Void
    private let position = Atomic(0)

    init(
        count: Int, expecting status: Int, _ request: @escaping @Sendable (Int) -> ByteBuffer,
        onAnswer: @escaping @Sendable (Int, UnsafeRawBufferPointer) throws -> Void = { _, _ in }
    ) {
        self.count = count
        self.expected = status
        self.request = request
        self.onAnswer = onAnswer
    }

    /// Requests made beforehand, so that making them costs nothing while the clock runs.
    convenience init(
        _ requests: [ByteBuffer], expecting status: Int,
        onAnswer: @escaping @Sendable (Int, UnsafeRawBufferPointer) throws -> Void = { _, _ in }
    ) {
        self.init(count: requests.count, expecting: status, { requests[$0] }, onAnswer: onAnswer)
    }

    func next() -> Outgoing? {
        let index = position.wrappingAdd(1, ordering: .relaxed).oldValue
        return index < count ? Outgoing(bytes: request(index), index: index) : nil
    }

    func answered(_ index: Int, status: Int, body: UnsafeRawBufferPointer) throws {
        guard status == expected else {
            let text = String(decoding: body.prefix(300), as: UTF8.self)
            throw Failure("request \(index) was answered with \(status): \(text)")
        }
        try onAnswer(index, body)
    }
}
