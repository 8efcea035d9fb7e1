//! The reasons that conditions and events carry.

macro_rules! reasons {
    ($($(#[$comment:meta])* $name:ident,)*) => {
        /// Why a condition is as it is, in one word that programs can rely on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)] // Each is its own description; docs/ says what to do about it.
        pub enum Reason {
            $($(#[$comment])* $name,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word itself.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

reasons! {
    // Good.
    Ready,
    Accepted,
    Provisioned,
    Healthy,
    Compiled,
    Latest,
    Pinned,
    Resolved,
    ResolvedByAlias,
    NoSteps,
    RolloutComplete,
    // Not yet.
    Pending,
    Progressing,
    Unhealthy,
    Suspended,
    Released,
    Deleting,
    WaitingForTemplate,
    WaitingForVersion,
    WaitingForNamespace,
    WaitingForKind,
    WaitingForValue,
    WaitingForDependency,
    WaitingForObject,
    WaitingForDeletion,
    WaitingForTakeOver,
    WaitingForHandOver,
    HandingOver,
    HandedOver,
    TemplateNotFound,
    TemplateNotReady,
    VersionNotFound,
    NewerVersion,
    RolloutProgressing,
    RolloutPaused,
    RolloutManual,
    ReferenceNotFound,
    InvalidReference,
    ReferenceCycle,
    RetryingAfterError,
    // A person has to change something.
    InvalidTemplate,
    InvalidSpec,
    InvalidStatus,
    InvalidParameters,
    RenderFailed,
    NotAllowed,
    KindNotAllowed,
    KindNotServed,
    NamespaceNotAllowed,
    VersionReused,
    ExampleFailed,
    TooManyObjects,
    DuplicateObject,
    NameConflict,
    RefConflict,
    AliasConflict,
    Forbidden,
    QuotaExceeded,
    Denied,
    ImmutableField,
    DeletionNotConfirmed,
    RolloutStopped,
    RolloutHeldBack,
    StepsNotSupported,
    IncludeNotSupported,
    IncludeNotFound,
    IncludeNotAllowed,
    FieldsDiffer,
    Contested,
    ChangedAtAdmission,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::str::FromStr for Reason {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .find(|reason| reason.as_str() == text)
            .copied()
            .ok_or(())
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.as_str().to_owned()
    }
}
