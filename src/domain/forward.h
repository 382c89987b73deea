/* domain/forward.h - names of the domain layer's types */
#pragma once

typedef struct Domain Domain;
typedef struct DomainDriver DomainDriver;
typedef struct DomainView DomainView;
typedef struct DomainEvent DomainEvent;
typedef struct JobRequest JobRequest;
typedef struct DefinitionCheck DefinitionCheck;
