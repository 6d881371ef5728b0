package import ReenvioModel

/// The two times (`docs/architecture.md`, rule 9). Wall time goes into history, bodies and signatures; engine time
/// decides what is due and leased, and never jumps.
package protocol TimeSource: Sendable {
    var wall: Timestamp { get }
    var engine: Timestamp { get }
    /// What is compared before anything is destroyed.
    var reading: ClockReading { get }
    /// What keys, sessions, tokens and secrets end by: the wall clock where it agrees with the last good moment, else
    /// what the monotonic clock makes of that.
    var expiry: Timestamp { get }
    /// Takes in the last good moment.
    func trust(_ time: TrustedTime)
}

/// Both times of one moment: what a step is told.
package struct Moment: Sendable, Equatable {
    package var wall: Timestamp
    package var engine: Timestamp

    package init(wall: Timestamp, engine: Timestamp) {
        self.wall = wall
        self.engine = engine
    }
}

extension TimeSource {
    package var now: Moment { Moment(wall: wall, engine: engine) }
}
