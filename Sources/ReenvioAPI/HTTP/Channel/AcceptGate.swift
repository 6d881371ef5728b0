import Foundation
import NIOCore

/// Stands first in a listener's pipeline: the next connection is accepted where there is room for it. Where `accept`
/// fails for want of a descriptor, the channel would be asked again at once and for ever: it stays registered while a
/// read is pending.
final class AcceptGate: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = any Channel

    private static let lookAgain: TimeAmount = .milliseconds(20)
    private static let afterError: TimeAmount = .milliseconds(250)

    private let connections: InboundConnections
    private var isPaused = false

    init(_ connections: InboundConnections) {
        self.connections = connections
    }

    func read(context: ChannelHandlerContext) {
        if isPaused { return }
        guard let shortage = connections.shortage() else { return context.read() }
        connections.note(shortage)
        pause(context, for: Self.lookAgain)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode) else {
            context.fireErrorCaught(error)
            return
        }
        connections.note(.descriptors)
        // Switching it on and off is what takes the channel out of the selector; it was off.
        let options = context.channel.syncOptions
        try? options?.setOption(.autoRead, value: true)
        try? options?.setOption(.autoRead, value: false)
        pause(context, for: Self.afterError)
    }

    private func pause(_ context: ChannelHandlerContext, for pause: TimeAmount) {
        if isPaused { return }
        isPaused = true
        let context = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.value.eventLoop.assumeIsolated().scheduleTask(in: pause) {
            self.isPaused = false
            if context.value.channel.isActive { self.read(context: context.value) }
        }
    }
}
