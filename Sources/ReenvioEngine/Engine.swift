package import Logging
import Metrics
package import NIOCore
package import ReenvioModel
package import ReenvioStore
package import ServiceLifecycle

/// What the running parts are told from the settings.
package struct EngineOptions: Sendable {
    package var schedule: RetrySchedule
    package var policy: AddressPolicy
    package var resendBacklogMax: Int64
    package var retention: Retention
    /// Whom to tell of what happened; nil: nobody. The store writes notices where it was opened with an outbox.
    package var operatorHook: OperatorHook.Target?

    package init(
        schedule: RetrySchedule, policy: AddressPolicy, resendBacklogMax: Int64, retention: Retention = .standard,
        operatorHook: OperatorHook.Target? = nil
    ) {
        self.operatorHook = operatorHook
        self.schedule = schedule
        self.policy = policy
        self.resendBacklogMax = resendBacklogMax
        self.retention = retention
    }
}

/// The running parts of one node, wired. `reenvio serve` runs them as services; tests and the simulation step them.
package struct Engine: Sendable {
    package let store: Store
    package let clock: any TimeSource
    package let entropy: any Entropy
    package let options: EngineOptions
    package let intake: Intake
    package let dispatcher: Dispatcher
    package let runner: ResendRunner
    package let janitor: Janitor
    package let pinger: Pinger
    package let metrics: MetricsPage
    /// What was done minute by minute, for the dashboard.
    package let pulse: Pulse
    package let failedAuthentications: FailedAuthenticationCounters
    package let operatorHook: OperatorHook
    private let courier: Courier
    private let peopleRead: Counter

    package init(
        store: Store, transport: any Transport, options: EngineOptions, clock: any TimeSource, entropy: any Entropy,
        registry: MetricsRegistry = MetricsRegistry(), logger: Logger
    ) {
        let meters = EngineMetrics(registry)
        let trust = ClockTrust(store: store, clock: clock, logger: logger)
        metrics = MetricsPage(registry, store: store, clock: clock, trust: trust, dropped: meters.droppedCalls)
        pulse = meters.pulse
        peopleRead = meters.peopleRead
        failedAuthentications = meters.failedAuthentications
        self.store = store
        self.clock = clock
        self.entropy = entropy
        self.options = options
        operatorHook = OperatorHook(
            options.operatorHook, store: store, transport: transport, schedule: options.schedule, clock: clock,
            entropy: entropy, logger: logger)
        let bell = Doorbell()
        let traffic = LiveTraffic()
        let recorder = OutcomeRecorder(bell: bell)
        courier = Courier(
            transport: transport, recorder: recorder, policy: options.policy, schedule: options.schedule, clock: clock,
            entropy: entropy, logger: logger
        )
        intake = Intake(
            store: store, clock: clock, entropy: entropy, schedule: options.schedule, dispatcherBell: bell,
            traffic: traffic, metrics: meters, logger: logger
        )
        dispatcher = Dispatcher(
            store: store, courier: courier, recorder: recorder, doorbell: bell, clock: clock, entropy: entropy,
            traffic: traffic, metrics: meters, logger: logger
        )
        runner = ResendRunner(
            store: store, policy: options.policy, schedule: options.schedule,
            backlogMax: options.resendBacklogMax, dispatcherBell: bell, traffic: traffic, entropy: entropy,
            logger: logger
        )
        pinger = Pinger(transport: transport, store: store, clock: clock, entropy: entropy)
        janitor = Janitor(
            store: store, retention: options.retention, schedule: options.schedule, trust: trust, dispatcherBell: bell,
            logger: logger)
    }

    /// Counts payouts whose people were shown unmasked.
    package func notePeopleRead(_ count: Int = 1) {
        peopleRead.increment(by: count)
    }

    /// Pauses a receiver: when this returns, nothing more begins to it here (`docs/contract.md` 13.11).
    package func pauseReceiver(id: Int64, accountID: Int64?, by requester: Requester) async throws -> Receiver? {
        let paused = try await store.pauseReceiver(id: id, accountID: accountID, by: requester, now: clock.wall)
        if paused != nil { courier.hold(id) }
        return paused
    }

    /// Ends a pause; a broken receiver is probed at once.
    package func resumeReceiver(id: Int64, accountID: Int64?, by requester: Requester) async throws -> Receiver? {
        let now = clock.now
        let resumed = try await store.resumeReceiver(
            id: id, accountID: accountID, by: requester, now: now.wall, engineNow: now.engine)
        if resumed != nil {
            courier.resume(id)
            dispatcher.doorbell.ring()
        }
        return resumed
    }

    /// Cancels a job: when this returns, nothing more of it begins here (`docs/contract.md` 13.2).
    package func cancelResend(
        jobID: String, accountID: Int64?, by requester: Requester
    ) async throws -> ResendCanceled {
        let result = try await store.cancelResend(jobID: jobID, accountID: accountID, by: requester, now: clock.wall)
        if case .canceled(let job) = result {
            courier.cancel(resendID: job.id)
            janitor.doorbell.ring()
        }
        return result
    }

    /// Cancels a v3 log, in the same way (`docs/contract.md` 13.18).
    package func cancelLog(
        id: Int64, userID: Int64? = nil, accountID: Int64? = nil, by requester: Requester
    ) async throws -> LogCanceled {
        let result = try await store.cancelLog(
            id: id, userID: userID, accountID: accountID, by: requester, now: clock.wall)
        if case .canceled = result {
            courier.cancel(resendID: id)
            janitor.doorbell.ring()
        }
        return result
    }

    /// What an explained dry run judges by (`docs/contract.md` 13.7).
    package var explainRules: ExplainRules {
        ExplainRules(policy: options.policy, firstWait: options.schedule.firstWait, now: clock.engine)
    }

    /// Sends one payout's latest notification again (`docs/contract.md` 13.9).
    package func resendOne(_ request: OneResend) async throws -> OneResent {
        let now = clock.now
        let rules = ChunkRules(
            now: now.wall, due: now.engine + options.schedule.firstWait, policy: options.policy,
            backlogMax: options.resendBacklogMax)
        let result = try await store.resendOne(request, rules)
        if case .enqueued = result { dispatcher.doorbell.ring() }
        return result
    }

    /// The loops, in the order in which they need each other; shutdown is the reverse. Notices come last there: the
    /// dispatcher ends their attempts with its own.
    package func services(on group: any EventLoopGroup, logger: Logger) -> [any Service] {
        let parts: [any Stepping] = [operatorHook, dispatcher, runner, janitor, intake]
        func loops(_ parts: [any Stepping]) -> [any Service] {
            parts.map { PollLoop($0, clock: clock, on: group.any(), logger: logger) }
        }
        guard let sharing = store.engine.sharing else { return loops(parts) }
        let deadlines = store.engine.patience.map { [IntakeDeadline(intake, patience: $0)] } ?? []
        // Where claims have a commit of their own, outcomes have a loop of their own.
        return loops([RecordLoop(dispatcher)] + parts + deadlines) + [
            OtherNodes(sharing) { [dispatcher, runner, operatorHook] in
                dispatcher.doorbell.ring()
                runner.doorbell.ring()
                operatorHook.doorbell.ring()
            }
        ]
    }
}
