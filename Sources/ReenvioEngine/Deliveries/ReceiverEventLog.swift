import Logging
import ReenvioModel
import ReenvioStore

extension ReceiverEvent {
    /// One line for a breaker that opened or closed or a receiver that asked for time, after the commit.
    func log(to logger: Logger) {
        var metadata: Logger.Metadata = ["receiver": "\(receiverID)", "merchant": "\(merchantID)"]
        switch what {
        case .opened(let reason):
            metadata["reason"] = reason.map { "\($0.rawValue)" }
            metadata["failures"] = "\(MachineHealth.failuresToOpen)"
            logger.warning("a receiver failed too often in a row; its breaker is open", metadata: metadata)
        case .closed(let duration):
            metadata["probes"] = "\(Breaker.acknowledgementsToClose)"
            metadata["open_ms"] = "\(duration.milliseconds)"
            logger.notice("a receiver answers again; its breaker is closed", metadata: metadata)
        case .held(let duration):
            metadata["hold_ms"] = "\(duration.milliseconds)"
            logger.info("a receiver asked to be left alone", metadata: metadata)
        }
    }
}
