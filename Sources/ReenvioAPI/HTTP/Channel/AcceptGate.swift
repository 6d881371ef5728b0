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
    /// The channel is out of the selector, after an error.
    private var isOff = false

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
        // A read is still pending: only this takes the channel out of the selector.
        isOff = true
        try? context.channel.syncOptions?.setOption(.autoRead, value: false)
        pause(context, for: Self.afterError)
    }

    private func pause(_ context: ChannelHandlerContext, for pause: TimeAmount) {
        if isPaused { return }
        isPaused = true
        let context = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.value.eventLoop.assumeIsolated().scheduleTask(in: pause) {
            self.isPaused = false
            if context.value.channel.isActive { self.resume(context.value) }
        }
    }

    /// Switching it on again reads at once.
    private func resume(_ context: ChannelHandlerContext) {
        guard isOff else { return read(context: context) }
        if let shortage = connections.shortage() {
            connections.note(shortage)
            return pause(context, for: Self.lookAgain)
        }
        isOff = false
        try? context.channel.syncOptions?.setOption(.autoRead, value: true)
    }
}
