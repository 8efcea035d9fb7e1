//! The relations between entities, in Backstage's words. Each has two sides, which come and go together.

/// What one entity is to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It is owned by the other, a group or a user.
    OwnedBy,
    /// It owns the other.
    OwnerOf,
    /// It is a part of the other.
    PartOf,
    /// The other is a part of it.
    HasPart,
    /// It provides the other, an API.
    ProvidesApi,
    /// It is an API that the other provides.
    ApiProvidedBy,
    /// It calls the other, an API.
    ConsumesApi,
    /// It is an API that the other calls.
    ApiConsumedBy,
    /// It needs the other to run.
    DependsOn,
    /// The other needs it to run.
    DependencyOf,
    /// It is a group that is a part of the other.
    ChildOf,
    /// It is a group of which the other is a part.
    ParentOf,
    /// It is a user in the other, a group.
    MemberOf,
    /// It is a group that the other, a user, is in.
    HasMember,
    /// It is provisioned from the other, a template. Not one of Backstage's relations.
    InstanceOf,
    /// It is the template that the other is provisioned from.
    TemplateOf,
}

impl Role {
    /// Every one of them, in the order in which they are shown.
    pub const ALL: [Self; 16] = [
        Self::OwnedBy,
        Self::OwnerOf,
        Self::PartOf,
        Self::HasPart,
        Self::ProvidesApi,
        Self::ApiProvidedBy,
        Self::ConsumesApi,
        Self::ApiConsumedBy,
        Self::DependsOn,
        Self::DependencyOf,
        Self::ChildOf,
        Self::ParentOf,
        Self::MemberOf,
        Self::HasMember,
        Self::InstanceOf,
        Self::TemplateOf,
    ];

    /// What the other is to this one.
    #[must_use]
    pub fn inverse(self) -> Self {
        match self {
            Self::OwnedBy => Self::OwnerOf,
            Self::OwnerOf => Self::OwnedBy,
            Self::PartOf => Self::HasPart,
            Self::HasPart => Self::PartOf,
            Self::ProvidesApi => Self::ApiProvidedBy,
            Self::ApiProvidedBy => Self::ProvidesApi,
            Self::ConsumesApi => Self::ApiConsumedBy,
            Self::ApiConsumedBy => Self::ConsumesApi,
            Self::DependsOn => Self::DependencyOf,
            Self::DependencyOf => Self::DependsOn,
            Self::ChildOf => Self::ParentOf,
            Self::ParentOf => Self::ChildOf,
            Self::MemberOf => Self::HasMember,
            Self::HasMember => Self::MemberOf,
            Self::InstanceOf => Self::TemplateOf,
            Self::TemplateOf => Self::InstanceOf,
        }
    }

    /// Backstage's word for it; none for what Backstage does not have.
    pub fn word(self) -> Option<&'static str> {
        Some(match self {
            Self::OwnedBy => "ownedBy",
            Self::OwnerOf => "ownerOf",
            Self::PartOf => "partOf",
            Self::HasPart => "hasPart",
            Self::ProvidesApi => "providesApi",
            Self::ApiProvidedBy => "apiProvidedBy",
            Self::ConsumesApi => "consumesApi",
            Self::ApiConsumedBy => "apiConsumedBy",
            Self::DependsOn => "dependsOn",
            Self::DependencyOf => "dependencyOf",
            Self::ChildOf => "childOf",
            Self::ParentOf => "parentOf",
            Self::MemberOf => "memberOf",
            Self::HasMember => "hasMember",
            Self::InstanceOf | Self::TemplateOf => return None,
        })
    }

    /// Whether the other would be left without it, if it went.
    #[must_use]
    pub fn is_needed(self) -> bool {
        matches!(
            self,
            Self::OwnerOf
                | Self::HasPart
                | Self::ApiProvidedBy
                | Self::ApiConsumedBy
                | Self::DependencyOf
                | Self::ParentOf
                | Self::HasMember
                | Self::TemplateOf
        )
    }

    /// The relation that leads upwards where this one is a side of a hierarchy, which may not lead back to where it began.
    pub fn upwards(self) -> Option<Self> {
        match self {
            Self::PartOf | Self::HasPart => Some(Self::PartOf),
            Self::ChildOf | Self::ParentOf => Some(Self::ChildOf),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_relation_has_two_sides_with_words_of_their_own() {
        let mut words = std::collections::BTreeSet::new();
        for role in Role::ALL {
            assert_ne!(role.inverse(), role);
            assert_eq!(role.inverse().inverse(), role);
            assert_eq!(role.word().is_some(), role.inverse().word().is_some());
            assert!(role.word().is_none_or(|word| words.insert(word)));
        }
        assert_eq!(words.len(), 14);
    }
}
